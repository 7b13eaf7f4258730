"""The kinds of notes that there are, in English and Chinese."""

from __future__ import annotations

from zhenyan.inference.io.notes import Kind, Words

_NAME_TEXT = Words("name another with --text-column", "如应读取其他列，请用 --text-column 指定")

# Files and folders
LEFT_OUT = Kind(
    Words("left out {what}", "未读取 {what}"),
    Words("{remedies}", "{remedies}"),
    Words("folders", "个文件夹"),
    ("remedies",),
)
SAME_FILE = Kind(Words("the same file as {other}, scored once", "与 {other} 是同一个文件，只评分一次"))
MEMBERS_OF_ONE_NAME = Kind(
    Words("{members}, of which the last alone is read", "{members}，只读取最后一个"),
    Words("unpack the others under other names", "其余请解压并改名"),
    Words("archives", "个压缩包"),
)
EMPTY = Kind(Words("no rows in it: nothing of it is scored", "其中没有可读取的行，未作评分"))

# Encodings
READ_AS = Kind(
    Words("read as {encoding}", "按 {encoding} 编码读取"),
    Words("name --encoding if that is wrong", "如有误，请用 --encoding 指定编码"),
    apart=("encoding",),
)
READ_AS_ASKED = Kind(READ_AS.said, apart=READ_AS.apart)
DAMAGED = Kind(
    Words("read as {encoding}, of which {where} has damaged bytes", "按 {encoding} 编码读取，其中{where}有损坏的字节"),
    Words(
        "save the file in one encoding, or name --encoding if that is wrong",
        "请将文件统一保存为一种编码；如编码判断有误，请用 --encoding 指定",
    ),
    apart=("encoding",),
)

# Which text is read
OTHER_TEXTS = Kind(
    Words("the text is read from {text}, not from {others}", "文本读自“{text}”，未读取：{others}"), _NAME_TEXT
)
OTHER_FIELDS = Kind(
    Words("the text is read from other fields, not from {names}", "文本读自其他字段，未读取：{names}"), _NAME_TEXT
)
ROWS_INSIDE = Kind(
    Words(
        "the text is read from the rows inside, not from {name} above them", "文本读自内层各行，未读取其上层的“{name}”"
    ),
    _NAME_TEXT,
)
HEADER_BELOW = Kind(
    Words(
        "the header is read from {row}, for no row above it names a text", "表头读自{row}，因为其上各行都没有文本列名"
    )
)
HEADER_BELOW_GROUPS = Kind(
    Words(
        "the header is read from {row}, for the row above it names groups of columns",
        "表头读自{row}，因为其上一行是分组标题",
    )
)
SHEET = Kind(Words("read sheet {sheet}; not read: {others}", "读取了工作表“{sheet}”；未读取：{others}"))
NO_SHEET = Kind(Words("read no sheet; not read: {others}", "没有读取任何工作表；未读取：{others}"))
COMMENTS = Kind(
    Words("its comments aren't read, for they are its editors'", "批注出自编辑者，未读取"),
    Words("what is to be scored there belongs in its text", "批注中需要评分的内容，请写入正文"),
)
BEFORE_FIRST_TIME = Kind(
    Words(
        "before the first time: {lines}, from {first} on; not scored, as a title or a summary",
        "第一个时间之前有{lines}，自{first}起；视为标题或摘要，未作评分",
    ),
    Words("what is to be scored there belongs in a file of its own", "其中需要评分的内容，请另存为一个文件"),
)
CUT_SPEECH = Kind(
    Words(
        "{count} rows of running speech are cut into utterances, a row each",
        "{count} 行连续口语已切分为语句，每句一行",
    ),
    Words("--no-split keeps them whole", "加 --no-split 则保持整行"),
)

# Times and rooms
UNREAD_TIMES = Kind(
    Words(
        "column {column}: {count} of {given} values aren't times, e.g. {first}",
        "“{column}”列：{given} 个值中有 {count} 个不是时间，例如{first}",
    ),
    Words("such rows are scored without that time", "这些行评分时不带该时间"),
)
UNREAD_ENDS = Kind(
    Words(
        "column {column}: {count} of {given} values aren't times or lie before their start, e.g. {first}",
        "“{column}”列：{given} 个值中有 {count} 个不是时间，或早于开始时间，例如{first}",
    ),
    UNREAD_TIMES.remedy,
)
MILLISECONDS = Kind(
    Words(
        "start and end are whole numbers, too far apart for seconds, and read as milliseconds",
        "start 和 end 都是整数，间隔过大，不像是秒，已按毫秒读取",
    ),
    Words(
        "if they are seconds, name them with --start-column and --end-column",
        "如果确是秒，请用 --start-column 和 --end-column 指定这两列",
    ),
)
LONG_ROWS = Kind(
    Words(
        "its times look like milliseconds: most rows last over {minutes} minutes and have few words; times are read as "
        "seconds, and lines with a pause between them not read together",
        "时间像是毫秒：多数行长达 {minutes} 分钟以上，文字却很少；现按秒读取，间隔较长的语句不会合并判断",
    ),
    Words(
        "call their columns start_ms and end_ms, or divide them by 1,000",
        "请将这两列改名为 start_ms 和 end_ms，或将数值除以 1,000",
    ),
)
MINUTES = Kind(
    Words(
        "column {column}: {hour}, as all its values are written, is read as {read}",
        "“{column}”列：{hour}（该列均为此写法）按{read}读取",
    ),
    Words(
        "such rows need seconds too, as h:mm:ss, where hours are meant", "如果表示时和分，请连秒一起写，例如 20:15:00"
    ),
)
UNDATED = Kind(
    Words(
        "column {column}: {day} is no date that can be read, so {hour} beside it is read as {read} ({count} such rows)",
        "“{column}”列：{day}不是可识别的日期，因此同行的 {hour} 按{read}读取（共 {count} 行）",
    ),
    Words("write dates as 2026-11-27 where hours are meant", "如果表示时和分，请将日期写成 2026-11-27 这样的形式"),
)
HOURS_AND_MINUTES = Kind(
    Words(
        "column {column}: times that no day has, such as {hour} ({minutes} of them), are read as minutes and seconds, "
        "others ({hours}) as hours and minutes of the date in {day}",
        "“{column}”列：一天之内没有的时间（如 {hour}，共 {minutes} 个）按分秒读取，其余 {hours} 个按“{day}”列日期当天的时和分读取",
    ),
    Words(
        "rename {day} if all are times of a recording, else write hours as 0:00 to 23:59",
        "如果都是录像中的时间，请将“{day}”列改名；否则请将时间写在 0:00 到 23:59 之间",
    ),
)
NO_ROOM = Kind(
    Words("no column is read as the room", "没有哪一列被当作直播间读取"),
    Words(
        "where {column} names it, add --stream-column {column}",
        "如果“{column}”列是直播间，请加 --stream-column {column}",
    ),
)

# What is scored and written
READ_IN_PART = Kind(
    Words("read in part, left out {what}", "只读取了一部分，略去{what}"),
    Words("cut it, or score with --split", "请将其切短，或评分时加 --split"),
    Words("texts", "条文本"),
)
TWO_CLOCKS = Kind(
    Words("time codes in some rows and dates in others", "部分行是时间码，部分行是日期"),
    Words("it is shown by rows, for they have no common range", "两者没有共同的起止范围，因此按行展示"),
    Words("streams", "场直播"),
)
CUT_CELL = Kind(
    Words(
        "text cut after {limit} characters, what a cell of XLSX holds",
        "文本在第 {limit} 个字符处截断，XLSX 单元格只能容纳这么多",
    ),
    unit=Words("cells", "个单元格"),
)
