"""``fairseq-neuron-explore``: a local page to try neurons out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

from ..backends.fairseq.checkpoints.names import flagged_file
from ..errors import UserError
from .common import CommandParser, quiet_fairseq, run_command

PROG = "fairseq-neuron-explore"


def build_parser() -> CommandParser:
    """The command's own arguments; all others are fairseq's."""
    parser = CommandParser(
        PROG,
        "Open a page on this machine to type sentences, see any neuron over them, hold neurons at "
        "values, and read the translations without and with that. DATA is the folder with the "
        "dictionaries, ACTS are activation stores of the same checkpoint, if any. The flags of "
        "fairseq-generate are understood too (--beam, --tokenizer, --bpe, --source-lang, ...). "
        "Needs the extra explore: pip install fairseq_neuron_plugin[explore].",
        f"  {PROG} acts.train --path checkpoint_best.pt data-bin --beam 5 \\\n"
        "      --ranking linguistic.json",
    )
    parser.usage = f"{PROG} [ACTS ...] --path CKPT DATA [options] [flags of fairseq-generate]"
    parser.add_argument("--path", required=True, metavar="CKPT", help="the checkpoint")
    parser.add_argument(
        "--ranking", nargs="+", default=[], metavar="R", help="rankings by which to find neurons"
    )
    parser.add_argument("--sentence", default="", help="to begin with")
    parser.add_argument("--port", type=int, default=0, help="(default: any that is free)")
    parser.add_argument("--browser", action="store_true", help="open the page in a browser")
    return parser


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command; ends the process."""
    parser = build_parser()
    args, rest = parser.parse_known_args(argv)
    # What follows a flag of fairseq's may be its value, so folders come before them.
    places = list(takewhile(lambda part: not part.startswith("-"), rest))
    if not places:
        parser.error("DATA is missing: give it, and ACTS, before the flags of fairseq-generate")
    run_command(PROG, lambda: _explore(args, places, rest[len(places) :]))


def _explore(args: argparse.Namespace, places: list[str], fairseq_flags: list[str]) -> None:
    if find_spec("gradio") is None:
        raise UserError(
            "the explorer needs Gradio; get it with: pip install fairseq_neuron_plugin[explore]"
        )
    from ..explorer.server import HOST, new_token, open_socket, prepare_gradio

    quiet_fairseq()
    from ..activations import Activations
    from ..analysis.inputs import unique_names
    from ..checkpoint_task import task_flags
    from ..explorer.engine import Engine
    from ..explorer.page import build_page
    from ..explorer.server import build_app, serve
    from ..loading import open_session
    from ..ranking import Ranking

    *stores, data = places
    rankings = {
        name: Ranking.load(path)
        for name, path in zip(unique_names(args.ranking), args.ranking, strict=True)
    }
    opened = [Activations(store) for store in stores]
    file = flagged_file(args.path, fairseq_flags)
    flags = [*fairseq_flags, *task_flags(file, fairseq_flags, data)]
    session = open_session([data, "--path", args.path, *flags], command="explore")
    engine = Engine(session, opened, rankings)
    command = ["fairseq-neuron-generate", data, "--path", args.path, *fairseq_flags]
    with open_socket(args.port) as listening, TemporaryDirectory() as folder:
        prepare_gradio(folder)
        page = build_page(engine, command, Path(folder), args.sentence)
        port, token = listening.getsockname()[1], new_token()
        app = build_app(page, token, port)
        address = f"http://{HOST}:{port}/{token}/"
        print(f"the page is at {address}\nCtrl-C ends it", flush=True)
        if args.browser:
            import webbrowser

            webbrowser.open(address)
        serve(app, listening)
    print(f"{PROG}: ended", file=sys.stderr)


if __name__ == "__main__":
    main()
