"""The card of an exported network: what it is, how it was trained and scored, where it fails, what it is not for."""

from fer_lightning.data.faces import classes_of, size_of

FER2013 = """FER-2013's labels say which of seven words people chose for a face. Other people choose the same word for about two thirds of
the faces. """

MISUSE = """A network for facial expressions says how a face would be labelled, not what somebody feels. Do not use it to judge people:
not in hiring, schooling, policing, border control, medicine or advertising. It was not measured per age, sex or skin colour, so it may
serve some groups worse than others."""


def facts(result, cfg):
    """{what: value} of the network of a run. result: result.json"""
    test = (result.get("metrics") or {}).get("test") or {}
    data, model, job = result["data"], result["model"], result["job"]
    views = f"{cfg.evaluation.kind}" + (f", crops of {cfg.evaluation.size} pixels" if cfg.evaluation.size else "")
    return {
        "network": f"{model['backbone'].rpartition('.')[2]}, {model['parameters']:,} parameters",
        "trained on": f"{data['source'].rpartition('/')[2]} ({data['verdict']}), protocol {result['protocol']}, seed {job['seed']}",
        "views of a face": views,
        "test part": _scores(test),
        "job": job["id"],
    }


def card(result, cfg, rows, difference):
    """The card as Markdown. result: result.json; rows: of the table; difference: between the probabilities of ONNX and torch."""
    test = (result.get("metrics") or {}).get("test") or {}
    classes, size = classes_of(result), size_of(result)
    own = result["data"]["verdict"] == "own"
    like, about_labels = ("the data it was trained on", "") if own else ("FER-2013", FER2013)
    recalls = {name: values["recall"] for name, values in (test.get("per_class") or {}).items()}
    worst = sorted(recalls, key=recalls.get)[:2]
    limits = [f"Of the faces labelled {name} it finds {100 * recalls[name]:.0f} %." for name in worst]
    return "\n".join([
        "# A network for facial expressions\n",
        *(f"- {key}: {value}" for key, value in facts(result, cfg).items()),
        "\n## Files\n",
        f"Input: `faces`, (B, 1, {size}, {size}) uint8: grey, cut out square and tight as in {like}. Output: `probabilities`, "
        f"(B, {len(classes)}): {', '.join(classes)}. Resizing, normalisation and the views are inside.\n",
        _table(rows),
        f"\nMilliseconds: median of calls on the CPU that exported it. ONNX and torch differ by at most {difference:.1g} in a probability.",
        "\n## Limits\n",
        "\n".join([*limits, about_labels + MISUSE]),
        "",
    ])  # fmt: skip


def _scores(test):
    if test.get("accuracy") is None:
        return "none"
    clean = test.get("accuracy_clean")
    text = f"accuracy {100 * test['accuracy']:.2f} %, one view a face"
    return text if clean is None else f"{text}; {100 * clean:.2f} % on the {test['n_clean']:,} images without a twin in training"


def _table(rows):
    names = list(rows[0])
    lines = [names, ["---"] * len(names), *([str(row[name]) for name in names] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
