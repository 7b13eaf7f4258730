"""A reviewer's reason for a decision, in their own words."""

from __future__ import annotations

from zhenyan.inference.review.errors import Said
from zhenyan.inference.review.intake import storable
from zhenyan.inference.review.settings import MAX_NOTE


def kept(note: str) -> str | None:
    """A note as it is stored, None for an empty one; Said when it has more than MAX_NOTE characters."""
    text = "\n".join(storable(note).strip().splitlines())  # a form sends each line break as two characters
    if len(text) > MAX_NOTE:
        raise Said(f"the note has {len(text):,} characters; shorten it to {MAX_NOTE}",
                   f"备注有 {len(text):,} 个字符，请缩短到 {MAX_NOTE} 个以内")  # fmt: skip
    return text or None
