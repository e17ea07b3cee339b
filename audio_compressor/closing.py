"""What is to be closed, as a context manager."""

from types import TracebackType
from typing import Self


class Closing:
    """Closes itself at the end of a block, however that ends."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of what it holds; of some, that is nothing."""
