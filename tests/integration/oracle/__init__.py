"""One random script of file operations, played on two trees (see test_oracle.py)."""
