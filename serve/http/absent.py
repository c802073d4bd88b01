"""OpenAI's resources that this server does not have, and what there is instead."""

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
    "edits": "use /v1/chat/completions",
    "engines": "use /v1/models",
}


def absent(path: str) -> str:
    """What there is instead of the resource at ``path``; empty for a path that is none of OpenAI's."""
    return ABSENT.get(path.removeprefix("/v1/").partition("/")[0], "") if path.startswith("/v1/") else ""
