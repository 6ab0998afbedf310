"""Whether the store's file could be opened. Looks at the disk and changes nothing there."""

import os
import stat
from pathlib import Path


def unusable(path: str) -> str | None:
    """Say why no database can be kept there; None if it can."""
    if not path.strip():
        return "a store needs a path: the file of its database"
    file = Path(path.strip())
    try:
        kind = stat.S_IFMT(file.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        # A link may lead to what is still to be made.
        parent = Path(os.path.realpath(file)).parent
        if not parent.is_dir():
            return f"{file} is not writable: there is no directory {parent}"
        return None if os.access(parent, os.W_OK) else f"{file}: {parent} is not writable"
    except (OSError, ValueError) as wrong:
        return f"cannot look at {file}: {getattr(wrong, 'strerror', None) or wrong}"
    if kind == stat.S_IFDIR:
        return f"{file} is a directory, not a file"
    return None if os.access(file, os.W_OK) else f"{file} is not writable"
