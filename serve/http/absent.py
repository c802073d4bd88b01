"""Resources of OpenAI's and Tinker's APIs that this server does not have, and what there is instead."""

CHAT = "write the rule as a system message of a chat completion, with response_format for the form of its answer"
ABSENT = {
    "moderations": f"there is no moderation model; {CHAT}",
    "evals": "evaluate a registered version with: mlflow run . -e evaluate",
    "assistants": "/v1/responses keeps conversations, by previous_response_id",
    "threads": "/v1/responses keeps conversations, by previous_response_id",
    "conversations": "/v1/responses keeps conversations, by previous_response_id",
    "vector_stores": "/v1/embeddings gives vectors; keep them in a store of your own",
    "images": "the models read and write text only",
    "audio": "the models read and write text only",
    "videos": "the models read and write text only",
    "realtime": "chat completions and responses are streamed with stream=true",
    "uploads": "POST /v1/files takes files as a whole; file_mb is the limit",
    "organization": "keys, projects and budgets are set by mlflow run . -e serve -P new_key=NAME -P project=NAME; "
    "/v1/organization/audit_logs lists the changes",
    "edits": "use /v1/chat/completions",
    "engines": "use /v1/models",
}


TINKER = "/api/v1/"
TINKER_ABSENT = {
    "save_weights_external": "export a registered version with: mlflow run . -e export",
    "create_custom_loss": "forward_backward_custom computes a loss in the client",
    "copy_weights": "saved weights are versions of the registry, which every session can load",
    "retrieve_futures": "retrieve_future gives one result",
}
TINKER_OTHERS = "of Tinker's API there is what trains, samples, saves and loads; versions are listed by /v1/models"


def absent(path: str) -> str:
    """What there is instead of the resource at ``path``; empty for one that is neither of OpenAI's nor of Tinker's."""
    if path.startswith(TINKER):
        return TINKER_ABSENT.get(path.removeprefix(TINKER).partition("/")[0], TINKER_OTHERS)
    return ABSENT.get(path.removeprefix("/v1/").partition("/")[0], "") if path.startswith("/v1/") else ""
