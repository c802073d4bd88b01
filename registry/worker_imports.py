"""The parts of MLflow that every run needs and that take seconds to import; no store is opened."""

import mlflow.pyfunc  # noqa: F401
import mlflow.store.model_registry.sqlalchemy_store  # noqa: F401
import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
