"""What MLflow finds of the spool by its entry points. MLflow loads this at every import, so it is thin."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.store.artifact.artifact_repo import ArtifactRepository
    from mlflow.store.model_registry.rest_store import RestStore as RegistryStore
    from mlflow.store.tracking.rest_store import RestStore


def tracking_store(store_uri: str, artifact_uri: str | None = None) -> RestStore:  # noqa: ARG001 (MLflow's)
    """The store for `spool+http://…` and `spool+https://…`."""
    from trainkit.spool.store import SpoolStore

    return SpoolStore(store_uri)


def registry_store(store_uri: str, tracking_uri: str | None = None) -> RegistryStore:  # noqa: ARG001 (MLflow's)
    """The model registry beside it, which cannot wait."""
    from trainkit.spool.registry import DirectRegistry

    return DirectRegistry(store_uri)


def artifact_repository(
    artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None
) -> ArtifactRepository:
    """In the place of MLflow's own for `mlflow-artifacts:`; without a spool it is that one."""
    from mlflow import get_tracking_uri
    from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository

    if not (tracking_uri or get_tracking_uri()).startswith("spool+"):
        return MlflowArtifactsRepository(artifact_uri, tracking_uri, registry_uri)
    from trainkit.spool.artifacts import SpoolArtifacts

    return SpoolArtifacts(artifact_uri, tracking_uri, registry_uri)
