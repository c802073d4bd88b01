"""The routes of the HTTP API, one module per resource; a new module adds its router to ``ROUTERS``.

Paths under ``/v1/`` need an API key; others (``/healthz``, ``/metrics``) are public.
"""

from serve.routes import batches, chat, completions, files, graders, jobs, models, pages, permissions, responses, tokens

ROUTERS = tuple(
    each.router
    for each in (files, jobs, permissions, graders, models, chat, completions, responses, batches, tokens, pages)
)
