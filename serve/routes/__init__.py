"""The routes of the HTTP API, one module per resource; a new module adds its router to ``ROUTERS``.

Paths under ``/v1/`` and ``/api/``, ``/tokenize`` and ``/detokenize`` need an API key; others (``/healthz``,
``/metrics``) are public.
"""

from serve.routes import (
    audit,
    batches,
    chat,
    completions,
    embeddings,
    files,
    graders,
    jobs,
    models,
    pages,
    permissions,
    responses,
    tinker,
    tinker_sampling,
    tokens,
)

GENERATING = (chat, completions, responses, embeddings)
ROUTERS = tuple(
    each.router
    for each in (
        audit,
        files,
        jobs,
        permissions,
        graders,
        models,
        *GENERATING,
        batches,
        tokens,
        tinker,
        tinker_sampling,
        pages,
    )
)
