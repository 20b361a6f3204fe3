"""The ablations of ASIGN's paper (supplement, Tables 2, 4 and 5) on the embedded sections.

    python benchmarks/asign_ablations.py [-w WORKSPACE] [-d her2st_demo] [--suite partial-demo]
        [--only blocks connections known]

*blocks*: without cross-attention, without the graph, without both, and without what is known.
*connections*: 4, 8 and 16 neighbours across, 4 and 8 within. *known*: 10, 20 and 30 % of the spots
of all sections. Each is a run with parameters set by hand (``--set``) or another ``known`` section
of the protocol, so that trials are kept and made once; prints a table in Markdown.
"""

from __future__ import annotations

import argparse
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

import spared_bench

BLOCKS: dict[str, dict[str, Any]] = {
    "both blocks": {},
    "without cross-attention": {"attends": False},
    "without the graph": {"spreads": False},
    "without both": {"attends": False, "spreads": False},
    "nothing known is mixed in": {"mixes": False},
}
CONNECTIONS = {
    f"{within} within, {across} across": {"n_neighbours": within, "n_across": across}
    for within, across in ((4, 4), (4, 8), (8, 12), (8, 16))
}
SHARES = (0.1, 0.2, 0.3)


def main() -> None:
    """Run the ablations and print their table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-w", "--workspace", type=Path, default=Path("asign-ablations"))
    parser.add_argument("-d", "--dataset", default="her2st_demo")
    parser.add_argument("--suite", default="partial-demo", help="protocol to begin with")
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--only", nargs="+", choices=["blocks", "connections", "known"],
        default=["blocks", "connections", "known"],
    )  # fmt: skip
    options = parser.parse_args()
    options.workspace.mkdir(parents=True, exist_ok=True)
    print("| ablation | MSE | PCC-Gene | PCC-Patch |\n|---|---|---|---|")
    for part, settings in (("blocks", BLOCKS), ("connections", CONNECTIONS)):
        for label, parameters in settings.items() if part in options.only else ():
            _print(label, _run(options, options.suite, parameters))
    for share in SHARES if "known" in options.only else ():
        _print(f"{share:.0%} of the spots known", _run(options, _shared(options, share), {}))


def _run(options: argparse.Namespace, protocol: str, parameters: dict[str, Any]) -> Any:
    report = spared_bench.run(
        [options.dataset],
        ["median"],
        ["asign-3d"],
        protocol,
        workspace=options.workspace,
        parameters={"asign-3d": parameters} if parameters else {},
        device=options.device,
    )
    (result,) = report.results
    return result


def _shared(options: argparse.Namespace, share: float) -> str:
    """Write the protocol with a share of the spots known; return its path."""
    file = resources.files("spared_bench_plugins.protocols") / f"{options.suite}.yaml"
    values = yaml.safe_load(file.read_text())
    values["name"] = f"{values['name']}-{round(100 * share)}"
    values["known"] = {"share": share, "register": values["known"]["register"]}
    path = options.workspace / f"{values['name']}.yaml"
    path.write_text(yaml.safe_dump(values))
    return str(path)


def _print(label: str, result: Any) -> None:
    if not result.ok:
        print(f"| {label} | {result.status}: {result.message} | | |", flush=True)
        return
    found = result.scores["test"]
    values = " | ".join(f"{found[name]:.3f}" for name in ("mse", "pcc-gene", "pcc-patch"))
    print(f"| {label} | {values} |", flush=True)


if __name__ == "__main__":
    main()
