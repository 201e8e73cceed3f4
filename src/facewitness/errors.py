"""The errors of the house: one sentence each that says what is wrong and what to do next, and its exit code."""

EXIT_FINE = 0
EXIT_NEGATIVE = 1
EXIT_USAGE = 2
EXIT_UNREADABLE = 3
EXIT_INCONCLUSIVE = 4
EXIT_MISSING = 5
EXIT_INTERRUPTED = 130


class FacewitnessError(Exception):
    """Root of every error a user can cause or mend; its text is one sentence that says what to do."""

    exit_code = EXIT_USAGE


class UsageError(FacewitnessError):
    """The request itself is wrong: an option, a configuration, a missing statement of rights (exit code 2)."""


class UnreadableInputError(FacewitnessError):
    """A file is missing, empty, truncated, not a video, or holds nothing we can work with (exit code 3)."""

    exit_code = EXIT_UNREADABLE


class MissingPieceError(FacewitnessError):
    """A package or a model file that the request needs is not here; the text says how to get it (exit code 5)."""

    exit_code = EXIT_MISSING
