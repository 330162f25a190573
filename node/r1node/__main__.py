"""`python -m r1node`."""

from __future__ import annotations

from r1node.cli.main import main

if __name__ == "__main__":
    main()
