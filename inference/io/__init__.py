"""Reading utterances from files of many kinds, and writing scored rows."""

from zhenyan.inference.io.reading import Options, Reject, read_items, resolve_inputs
from zhenyan.inference.io.writing import check_output, write_output

__all__ = ["Options", "Reject", "check_output", "read_items", "resolve_inputs", "write_output"]
