"""Bad configuration and bad schemas: file, key, value, what is allowed."""

import re

import pytest
import yaml
from zhenyan.inference.errors import ConfigError
from zhenyan.inference.law import foremost
from zhenyan.training.config import load_config
from zhenyan.training.overrides import parse
from zhenyan.training.schema import load_schema
from zhenyan.training.splits import load_splits


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("optim: {epoch: 3}", r"optim\.epoch: no such key; there are epochs, batch_size"),
        ("optim: 3", "optim: must be a section with the keys epochs, .*, found 3"),
        ("distil: {writen: {}}", r"distil\.writen: no such key; there are written"),
        ("pretrian: null", "pretrian: no such key; there are pretrain, "),
        ("optim: {learning_rate: -1}", "greater than 0, found -1"),
        ("encoder: {pooling: max}", "'mean' or 'cls', found 'max'"),
        ("name: '../x'", "name"),
        ("- 1", "expected keys and values"),
        ("a: [", "not YAML"),
        ("evasion: {probability: 2}", "evasion.probability"),
        ("distil: {teachers: [x]}", "exclude each other"),
        ("base: self.yaml", "circle"),
        ("optim: {learning_rate: .inf}", "optim.learning_rate: input should be a finite number, found inf"),
        ("loss: {gamma_negative: .nan}", "loss.gamma_negative: input should be"),
        ("optim: {epochs: true}", "optim.epochs: value error, this is no switch, found true"),
        ("optim: {batch_size: yes}", "optim.batch_size: value error, this is no switch"),
        ("encoder: {layers: [0, 0]}", r"encoder.layers: value error, each layer can be kept once, found \[0, 0\]"),
        ("seed: -1", "seed: input should be greater than or equal to 0, found -1"),
        ("seed: 4294967296", "seed: input should be less than 4294967296"),
        ("optim: {threads: 100000000000}", "optim.threads: input should be less than or equal to 1024"),
        ("encoder: {layers: []}", "encoder.layers: list should have at least 1 item"),
        ("evasion: {transforms: [rot13]}", "evasion.transforms: .*unknown transform rot13; allowed: homophone"),
    ],
)
def test_bad_config_names_key_and_value(tmp_path, text, words):
    path = write(tmp_path / "self.yaml", text)
    with pytest.raises(ConfigError, match=words) as error:
        load_config(path)
    assert "self.yaml" in str(error.value)


@pytest.mark.parametrize(
    ("items", "words"),
    [
        (["optim.epochs=[1"], r"--set optim\.epochs: not YAML: '\[1'"),
        (["optim.epochs=" + "[" * 5000], r"--set optim\.epochs: not YAML: '\[{199} \("),
        (["=3"], "--set =3: expected NAME=VALUE"),
        (["pretrain=null", "pretrain.epochs=1"], "pretrain is null here; write --set 'pretrain={}' before it"),
        (["optim=3", "optim.epochs=1"], "optim is not a section"),
    ],
)
def test_a_bad_override_is_named(tmp_path, items, words):
    with pytest.raises(ConfigError, match=words):
        load_config(write(tmp_path / "a.yaml", ""), parse(items))
    assert load_config(tmp_path / "a.yaml", parse(["pretrain=null", "pretrain={}", "pretrain.epochs=3"])).pretrain


@pytest.mark.parametrize(
    ("items", "told"),
    [
        (["optim.epochs=-1"], "--set optim.epochs=-1: optim.epochs: input should be greater than 0, found -1"),
        (["seed=1", "optim.epoch=3"], "--set optim.epoch=3: optim.epoch: no such key; there are epochs, batch_size"),
        (["optim={epochs: 0}"], '--set optim={"epochs": 0}: optim.epochs: input should be greater than 0, found 0'),
        (["name=../x"], "--set name=../x: name: string should match"),
        (["optm.epochs=3"], "FILE with --set optm.epochs=3: optm: no such key"),
        (["pretrain=null", "distil.weight=1"], "FILE with --set distil.weight=1: distil.teachers: field required"),
        (
            ["distil={teachers: [a]}"],
            'FILE with --set distil={"teachers": ["a"]}: (whole file): value error, distil and',
        ),
        (
            ["seed=1", "loss.label_smoothing=0.1"],
            "FILE: loss.pos_weight_cap: input should be greater than or equal to 1",
        ),
    ],
)
def test_a_wrong_override_is_not_blamed_on_the_file(tmp_path, items, told):
    path = write(tmp_path / "a.yaml", "loss: {pos_weight_cap: 0}" if "loss" in items[-1] else "")
    with pytest.raises(ConfigError) as error:
        load_config(path, parse(items))
    (line,) = str(error.value).splitlines()
    assert line.startswith(told.replace("FILE", str(path)))


def test_a_file_that_can_not_be_read_is_named(tmp_path):
    (tmp_path / "gbk.yaml").write_bytes("name: 中文".encode("gbk"))
    for path, words in (
        (tmp_path, "Is a directory; give a YAML file"),
        (tmp_path / "gbk.yaml" / "x.yaml", "Not a directory"),
        (tmp_path / "gbk.yaml", "not UTF-8; save it as UTF-8"),
    ):
        with pytest.raises(ConfigError, match=words) as error:
            load_config(path)
        assert str(path) in str(error.value)


def test_missing_file_and_override(tmp_path):
    with pytest.raises(ConfigError, match="no such file; give another YAML file"):
        load_config(tmp_path / "none.yaml")
    for name in ("b", "a"):
        write(tmp_path / f"{name}.yaml", "")
    with pytest.raises(ConfigError, match=r"none\.yaml: no such file; .+ has a\.yaml, b\.yaml$"):
        load_config(tmp_path / "none.yaml")
    config = load_config(write(tmp_path / "a.yaml", "name: a"), {"optim.epochs": 2, "loss.pos_weight_cap": 3})
    assert config.optim.epochs == 2 and config.loss.pos_weight_cap == 3


def test_a_run_of_before_alphas_were_tried_is_still_read(tmp_path):
    (tmp_path / "old.yaml").write_text("export: {smooth: 0.65}\n", encoding="utf-8")
    assert load_config(tmp_path / "old.yaml").export.smooth == [0.65]
    (tmp_path / "none.yaml").write_text("export: {smooth: []}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"export\.smooth"):
        load_config(tmp_path / "none.yaml")


def test_base_is_overridden_key_by_key(tmp_path):
    write(tmp_path / "base.yaml", "name: base\noptim: {epochs: 9, batch_size: 8}")
    config = load_config(write(tmp_path / "own.yaml", "base: base.yaml\noptim: {epochs: 2}"))
    assert (config.name, config.optim.epochs, config.optim.batch_size) == ("base", 2, 8)


def test_committed_files_are_valid(root):
    for folder in ("train", "release", "encoders"):
        found = [load_config(path) for path in sorted((root / "configs" / folder).glob("*.yaml"))]
        assert found and len({config.name for config in found}) == len(found), folder
    schema = load_schema(root / "configs/labels.yaml")
    assert len(schema.ids) == 14 and schema.core == schema.ids[:4]


def yuan(text):
    """Amounts of an English statement, in yuan; in `1 to 2 million` the unit stands once."""
    for pair in re.findall(r"(?:([\d,]+) to )?([\d,]+)( million)? yuan", text):
        for number in filter(None, pair[:2]):
            amount = int(number.replace(",", ""))
            yield amount * 1_000_000 if pair[2] and amount < 1_000 else amount


def test_penalties_state_the_same_in_both_languages(root):
    for label in load_schema(root / "configs/labels.yaml").labels:
        stated, stated_zh = label.penalty.states, label.penalty.states_zh
        amounts = [
            int(n) * (10_000 if ten_thousand else 1) for n, ten_thousand in re.findall(r"(\d+)(万?)元", stated_zh)
        ]
        assert amounts == list(yuan(stated)), label.id
        assert stated_zh.count("金额未核实") == stated.count("amount not verified"), label.id
        assert stated_zh.count("情节严重") == stated.count("serious cases"), label.id


def test_the_law_is_said_in_both_languages(root):
    schema = load_schema(root / "configs/labels.yaml")
    assert schema.law_as_of_zh and all(label.definition_zh and label.penalty.basis_en for label in schema.labels)
    unsaid = [(label.id, one.article) for label in schema.labels for one in label.articles if not one.says_zh]
    marked = {one.law.split(" ")[0] for label in schema.labels for one in label.articles if one.check}
    review = "药品、医疗器械、保健食品、特殊医学用途配方食品广告审查管理暂行办法"  # a replacement was in draft in 2026
    contracts = "合同行政监督管理办法"  # read as of 2023; amended in March 2025
    # Read before their amendments of December 2025 and of 2020.
    food, rights = "食品安全法", "侵害消费者权益行为处罚办法"
    assert (unsaid, marked) == ([], {"价格法", "商标法", review, contracts, food, rights})  # the first two: LEGAL_BASIS


@pytest.mark.parametrize(
    ("label", "law", "articles"),
    [
        ("illegal_endorsement", "广告法", ["第九条第一项", "第二十一条", "第二十四条", "第二十五条", "第二十七条"]),
        ("public_order", "广告法", ["第九条第一项"]),
        ("public_order", "国旗法", ["第二十条"]),
        ("food_safety", "反不正当竞争法", ["第九条"]),
        ("food_safety", "食品安全法", ["第三十五条"]),  # no licence
        ("food_safety", "广告法", ["第二十条"]),  # in place of breast milk
        ("consumer_rights", "合同行政监督管理办法", ["第七条第三项", "第八条第七项"]),
    ],
)
def test_cases_that_a_definition_covers_have_their_article(root, label, law, articles):
    known = next(one for one in load_schema(root / "configs/labels.yaml").labels if one.id == label)
    assert set(articles) <= {one.article for one in known.articles if one.law.startswith(f"{law} [")}
    assert (label != "illegal_endorsement") or "endorser" in known.responsible


@pytest.mark.parametrize(
    ("label", "law", "articles"),
    [
        ("illegal_endorsement", "广告法", ["第三十八条", "第十八条第一款第五项"]),  # a testimony, not a flag
        ("price_fraud", "明码标价和禁止价格欺诈规定", ["第十九条", "第十六条"]),
        ("unreviewed_ad", "广告法", ["第四十六条", "第十七条"]),  # goods that are reviewed, and all others
        ("ip_infringement", "反不正当竞争法", ["第七条"]),  # replicas are more frequent than patents
        ("commercial_disparagement", "广告法", ["第十三条", "第十八条第一款第四项"]),
        ("illegal_prize_sale", "反不正当竞争法", ["第十一条第三项", "第十一条第四项"]),
        ("public_order", "广告法", ["第九条第七项", "第九条第八项"]),
    ],
)
def test_a_short_citation_names_the_articles_of_the_ordinary_case(root, label, law, articles):
    known = load_schema(root / "configs/labels.yaml").record(label)
    assert [one["article"] for one in foremost(known["articles"]) if one["law"].startswith(f"{law} [")] == articles


def test_what_a_bundle_tells_of_a_label(root):
    schema = load_schema(root / "configs/labels.yaml")
    told = schema.record("consumer_rights")
    assert (told["law_as_of"], told["law_as_of_zh"]) == (schema.law_as_of, schema.law_as_of_zh)
    assert (told["penalty"]["verified"], told["penalty"]["check"]) == ("text", True)
    assert "examples" not in told and None not in told.values()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s["labels"].append(s["labels"][0]), "more than once: false_propaganda"),
        (lambda s: s["labels"][0].pop("articles"), "labels.0.articles: field required"),
        (lambda s: s["labels"][0].update(id="Bad Id"), "labels.0.id"),
        (lambda s: s["labels"][1].update(responsible=["nobody"]), "labels.1.responsible.0"),
        (lambda s: s["labels"][1].update(extra=1), "labels.1.extra"),
        (lambda s: s["labels"][1]["penalty"].update(verified="yes"), "labels.1.penalty.verified: .*found 'yes'"),
        (lambda s: s["labels"][1]["penalty"].pop("states_zh"), "labels.1.penalty.states_zh: field required"),
        (lambda s: s["labels"][1].update(examples=["one"]), "labels.1.examples"),
        (lambda s: s.update(version=0), "version"),
    ],
)
def test_broken_schemas(tmp_path, root, change, words):
    schema = yaml.safe_load((root / "configs/labels.yaml").read_text(encoding="utf-8"))
    change(schema)
    with pytest.raises(ConfigError, match=words):
        load_schema(write(tmp_path / "labels.yaml", yaml.safe_dump(schema, allow_unicode=True)))


def test_what_was_written_is_told_as_it_was(tmp_path):
    (tmp_path / "s.yaml").write_text("validation: [Room-A]\ntest: [Room-A]\n", "utf-8")
    with pytest.raises(ConfigError, match="groups in both validation and test: Room-A"):
        load_splits(tmp_path / "s.yaml")
    (tmp_path / "c.yaml").write_text("name: a b\n", "utf-8")
    with pytest.raises(ConfigError, match=r"string should match pattern '\^\[A-Za-z0-9\]"):
        load_config(tmp_path / "c.yaml")


def test_a_home_in_a_configured_place_is_the_users(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    asked = {"runs": "~/runs", "data.splits": "~/splits.yaml", "pretrain": None, "distil.teachers": ["~/teacher"]}
    config = load_config("configs/train/default.yaml", {"distil": {}} | asked)
    assert (config.runs, config.data.splits) == (tmp_path / "runs", tmp_path / "splits.yaml")
    assert config.distil is not None and config.distil.teachers == [tmp_path / "teacher"]
