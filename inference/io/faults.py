"""Why a file or a row isn't read and what to do, in English and in Chinese: the report is read by reviewers."""

from __future__ import annotations

from zhenyan.inference.errors import InputError
from zhenyan.inference.io.notes import Words, chinese_path


def fault(path: str, said: Words) -> InputError:
    """The error of a file that can't be read, or of a part of it."""
    return InputError(f"{path}: {said.english}", f"{chinese_path(path)}：{said.chinese}")


def said_more(error: InputError, more: Words) -> InputError:
    """The error with more said behind it."""
    return InputError(f"{error}{more.english}", f"{error.chinese}{more.chinese}")


def without_path(error: Exception, path: str) -> Words:
    """What an error says of a file, for where its name stands already; in English alone where it isn't an InputError."""
    chinese = error.chinese if isinstance(error, InputError) else str(error)
    return Words(str(error).removeprefix(f"{path}: "), chinese.removeprefix(f"{chinese_path(path)}："))


_AS_IT_CAME = "原始信息：{error}"  # of another program, and in its language

# Files
SYSTEM = Words("{error}", f"无法读取（{_AS_IT_CAME}）")
COMPRESSION = Words(
    "the {kind} file is damaged ({error}); get it again", f"{{kind}} 压缩文件已损坏（{_AS_IT_CAME}）；请重新获取"
)
NAMED_FROM_ROOT = Words(
    "a member whose name begins with / can't be read by its name; unpack it and name it there",
    "压缩包内以 / 开头的文件无法按名称读取；请解压后再指定",
)
ARCHIVE = Words(
    "{error}; get the file again, or unpack it and name it there",
    f"无法读取（{_AS_IT_CAME}）；请重新获取，或解压后再指定",
)
UNPACKED = Words(
    "over 1 GiB unpacked; unpack it and name the unpacked file", "解压后超过 1 GiB；请解压后指定解压出的文件"
)
ZIPPED = Words(
    "is an XLSX workbook or a zip: name it .xlsx, a Word document .docx, or read a zip by zip://::FILE.zip",
    "实为 XLSX 工作簿或 zip 压缩包：工作簿请改名为 .xlsx，Word 文档请改名为 .docx，zip 压缩包请以 zip://::FILE.zip 读取",
)
OLD_OFFICE = Words(
    "is an old .xls or .doc, or has a password: save it as .xlsx, .docx or .txt without a password",
    "实为旧版 .xls 或 .doc，或设有密码：请另存为不设密码的 .xlsx、.docx 或 .txt",
)
GZIPPED = Words("is compressed by gzip: add .gz to its name", "实为 gzip 压缩文件：请在文件名后加 .gz")
PDF = Words("is a PDF: save it as .txt", "实为 PDF：请另存为 .txt")
ENCODING = Words(
    "not readable as {encoding}: {error}; name another --encoding",
    f"无法按 {{encoding}} 编码读取（{_AS_IT_CAME}）；请用 --encoding 指定其他编码",
)
NAME_TOO_LONG = Words("{error}; move it to a folder with a shorter path", "路径过长；请移到路径较短的文件夹")
FOLDER = Words(
    "the folder can't be listed{why}; let it be read, or move it away",
    "无法列出该文件夹的内容；请开放读取权限，或将其移走",
)
OVER_CHARACTERS = Words("over {most} characters, compressed or not; {remedy}", "超过 {most} 个字符；{remedy}")
AS_LINES = Words("write its rows as .jsonl, or in several files", "请将各行写成 .jsonl，或分成几个文件")
IN_PARTS = Words("save it in several files", "请分成几个文件保存")

# Subtitles, Word files, workbooks, Parquet
NO_CUE = Words("no cue found{broken}; is it really .{kind}?", "没有找到字幕{broken}；请确认确是 .{kind} 文件")
BROKEN_CUE = Words(
    "a cue's times can't be read; write both like 00:01:02.000",
    "字幕的时间无法识别；起止时间请写成 00:01:02.000 这样的形式",
)
AT_LINE = Words("; line {number}: {why}", "；第{number}行：{why}")
TAGS = Words("a cue has over {most} tags", "一条字幕的标记超过 {most} 个")
UNTIMED = Words("text before the first cue's times", "第一条字幕的时间之前有文字")
EMPTY_CUE = Words("the cue is empty", "该条字幕没有文字")
NO_DOCX = Words(
    "not a readable .docx ({error}); get it again, or save it as .txt",
    f"不是可读取的 .docx 文件（{_AS_IT_CAME}）；请重新获取，或另存为 .txt",
)
NO_READER = Words(
    "{error}, or save the document as .txt",
    "没有安装读取 Word 文档的组件（zhenyan 的 docx 扩展）；请安装，或将文档另存为 .txt",
)
OLD_WORD = Words(
    "is an old .doc, or has a password: save it as .docx or .txt without a password",
    "实为旧版 .doc，或设有密码：请另存为不设密码的 .docx 或 .txt",
)
LARGE_DOCX = Words(
    "its texts unpack to {size} MiB with its pictures, over {most}; save it as .txt",
    "正文连同图片解压后为 {size} MiB，超过 {most} MiB；请另存为 .txt",
)
CUT_WORKBOOK = Words(
    "not a readable XLSX workbook: cut off or damaged ({error}); get it again",
    f"不是可读取的 XLSX 工作簿：不完整或已损坏（{_AS_IT_CAME}）；请重新获取",
)
NO_WORKBOOK = Words("not a readable XLSX workbook ({error})", f"不是可读取的 XLSX 工作簿（{_AS_IT_CAME}）")
NO_WORKSHEET = Words("has no worksheet", "其中没有工作表")
OLD_WORKBOOK = Words(
    "has a password or is an old .xls; save it as .xlsx without a password",
    "设有密码，或实为旧版 .xls；请另存为不设密码的 .xlsx",
)
OTHER_FORMAT = Words(
    "not a readable XLSX workbook: it is {what}; open it in a spreadsheet program and save it as .xlsx, or get it again",
    "不是可读取的 XLSX 工作簿：{what}；请用电子表格程序打开后另存为 .xlsx，或重新获取",
)
MARKUP, PLAIN, NOTHING = (
    Words("HTML or XML", "实为 HTML 或 XML"),
    Words("a text", "实为文本"),
    Words("empty", "文件是空的"),
)
OTHER_SHEETS = Words("; other sheets: {sheets} - {remedy}", "；其他工作表：{sheets}；{remedy}")
MOVE_SHEET = Words("move the one to be read to the front, or hide this one", "请将要读取的移到最前，或隐藏此表")
SHOW_SHEET = Words("show the one to be read, hide this one", "请取消隐藏要读取的，并隐藏此表")
LARGE_WORKBOOK = Words(
    "{what} to {size} MiB, over {most}; save it as .csv, or in several files",
    "{what}为 {size} MiB，超过 {most} MiB；请另存为 .csv，或分成几个文件",
)
TEXTS_UNPACK, SHEET_UNPACKS = (
    Words("its texts and styles unpack", "文字和样式解压后"),
    Words("a sheet unpacks", "一个工作表解压后"),
)
UNSAVED = Words(
    "column {column!r} holds a formula without its value; open the workbook and save it, or export it as CSV",
    "“{column}”列的公式没有保存结果；请打开工作簿后重新保存，或导出为 CSV",
)
NO_PARQUET = Words("not a readable Parquet file ({error})", f"不是可读取的 Parquet 文件（{_AS_IT_CAME}）")

# Tables
NO_SUCH_COLUMN = Words(
    "no column {asked!r} ({flag}); its columns are {columns}", "没有“{asked}”列（{flag}）；现有的列：{columns}"
)
NO_COLUMNS, MORE_COLUMNS = Words("(none)", "无"), Words(" and {count} more", "等，另有 {count} 列")
NO_TEXT = Words(
    "no text column; its columns are {columns}; name one with --text-column",
    "没有可作为文本的列；现有的列：{columns}；请用 --text-column 指定",
)
TITLE_ABOVE = Words("; if a title stands above the header, delete it", "；如果表头上方有标题，请删除标题")
NO_HEADER = Words(
    "; if the table has no header, give it one that names the text's column text",
    "；如果表格没有表头，请加上表头，并将文本列命名为 text",
)
TWO_TEXTS = Words(
    "{count} columns are named {column!r}; rename those that aren't the text",
    "有 {count} 列都叫“{column}”；请将不是文本的列改名",
)
LOST_HEADER = Words(
    "; the header has bytes that are not {encoding}: name --encoding, or save the file in one encoding",
    "；表头中有不属于 {encoding} 编码的字节：请用 --encoding 指定编码，或将文件统一保存为一种编码",
)
SEPARATED = Words(
    "; or are its columns separated by {mark!r}? Then {remedy}", "；各列是否以 {mark!r} 分隔？如果是，{remedy}"
)
AS_TSV = Words("name the file .tsv", "请将文件改名为 .tsv")
AS_CSV = Words("save it with commas as .csv, or with tabs as .tsv", "请另存为以逗号分隔的 .csv，或以制表符分隔的 .tsv")
IN_HEADER = Words("{place}, in the header: {reason}", "{place}（表头）：{reason}")
EMPTY = Words("column {column!r} is empty", "“{column}”列是空的")
NO_STRING = Words("column {column!r} holds {kind}, expected text", "“{column}”列不是文本，而是 {kind}")
FORMULA = Words(
    "column {column!r} holds {found}, a spreadsheet's error, not a text; mend its formula",
    "“{column}”列是电子表格的错误值 {found}，不是文本；请改正公式",
)
TOTALS = Words("a row of totals ({total}), not of what was said", "这一行是{total}，不是语句")
WIDTH = Words("{count} fields, the header has {wanted}", "这一行有 {count} 个字段，表头有 {wanted} 个")
OVER_COLUMNS = Words(
    "{count} fields, where a table has {most} columns at most; write it in several tables",
    "这一行有 {count} 个字段，而表格最多 {most} 列；请分成几个表格",
)
OPEN_QUOTE = Words("a quote is opened and not closed", "引号没有成对")

# JSON
AN_ARRAY = Words(
    "begins with [, as a JSON array; rename it to .json, or write one object a line",
    "以 [ 开头，是 JSON 数组；请改名为 .json，或改为每行一个对象",
)
NO_OBJECT = Words("expected a JSON object, found {kind}", "应为 JSON 对象，实为 {kind}")
NOT_JSON_LINE = Words("not JSON: {error}", f"不是 JSON（{_AS_IT_CAME}）")
NOT_JSON = Words("not JSON ({error})", NOT_JSON_LINE.chinese)
PERHAPS_LINES = Words("; one object a line? Then rename it to .jsonl", "；如果是每行一个对象，请改名为 .jsonl")
ENCRYPTED = Words(
    "not JSON: 剪映 encrypts its drafts; export the subtitles there as SRT",
    "不是 JSON：剪映的草稿是加密的；请在剪映中将字幕导出为 SRT",
)
REPEATED = Words("{error}; keep one of them", "同一对象中有两个“{name}”键；请只保留一个")
NO_TRANSCRIPT = Words(
    "no transcript found; known are Whisper (segments), FunASR (sentence_info), Volcengine and AssemblyAI "
    "(utterances), Paraformer and Aliyun (sentences), Tencent (ResultDetail), Azure (recognizedPhrases, phrases), "
    "iFlytek (onebest, lattice), Baidu (detailed_result), Huawei, Amazon (audio_segments), Bilibili (body), paragraphs of words, "
    "objects with text, content or 文本, and lists of these; name another field with --text-column",
    "没有找到转写内容；可识别的有 Whisper（segments）、FunASR（sentence_info）、火山引擎和 AssemblyAI（utterances）、Paraformer 和阿里云"
    "（sentences）、腾讯云（ResultDetail）、Azure（recognizedPhrases、phrases）、讯飞（onebest、lattice）、百度（detailed_result）、华为云、"
    "Amazon（audio_segments）、哔哩哔哩（body）、由词组成的段落、含 text、content 或“文本”的对象，以及它们的列表；其他字段请用 --text-column 指定",
)
SILENT_SEGMENT = Words("the segment has no text", "该片段没有文字")
NO_SEGMENT = Words("the segment is no object", "该片段不是 JSON 对象")
SILENT_ROW = Words("the row has no text", "该行没有文字")

# Any text
LONG_LINE = Words(
    "the line is longer than {most} characters; cut it into shorter ones", "这一行超过 {most} 个字符；请切成较短的几行"
)
LONG_TEXT = Words(
    "the text is longer than {most} characters; cut it into shorter ones", "文本超过 {most} 个字符；请切成较短的几段"
)
LOST_BYTES = Words(
    "the text has bytes that are not {encoding}; save the file in one encoding",
    "文本中有不属于 {encoding} 编码的字节；请将文件统一保存为一种编码",
)
TAGS_ALONE = Words("there are a recogniser's tags and no words", "只有语音识别的标记，没有文字")
