"""The routes of the HTTP API, one module per resource; a new module adds its router to ``ROUTERS``.

Paths under ``/v1/``, ``/tokenize`` and ``/detokenize`` need an API key; others (``/healthz``, ``/metrics``) are public.
"""

from serve.routes import (
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
    tokens,
)

GENERATING = (chat, completions, responses, embeddings)
ROUTERS = tuple(
    each.router for each in (files, jobs, permissions, graders, models, *GENERATING, batches, tokens, pages)
)
