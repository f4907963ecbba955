"""The errors genie raises on purpose: each message says what was wrong and what to do."""

from __future__ import annotations


class GenieError(Exception):
    """Base of every error a caller can act on; the message is one or two plain sentences."""


class DatasetError(GenieError):
    """A dataset on disk is missing, incomplete or not what its schema says."""


class WorldFormatError(GenieError):
    """A world bundle is damaged, unsafe or of an unknown schema version."""


class TrainingError(GenieError):
    """A training run cannot start or go on as asked."""


class ActionError(GenieError):
    """An action name, id or script that the world does not have."""


class SessionError(GenieError):
    """A session is damaged, unsafe, of an unknown schema version, or was made with another world."""


class MissingDependencyError(GenieError):
    """An optional package is needed for what was asked and is not installed."""
