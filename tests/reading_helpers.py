"""What tests of readers share: files as other programs write them."""

import openpyxl


def workbook(path, *rows):
    """A workbook of one sheet, written to `path`, which comes back."""
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path
