#!/usr/bin/env bash
# Set up .venv with the package, fairseq and the versions of constraints.txt; once, not twice.
set -euo pipefail
cd "$(dirname "$0")/.."

stamp=.venv/.complete
want=$(cat setup.py constraints.txt scripts/setup.sh | sha256sum | cut -d' ' -f1)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ]; then
    exit 0
fi

python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "setup.sh: Python 3.11 or later is needed; name one with PYTHON=..." >&2
    exit 2
}
echo "setting up .venv (about 4 minutes; fairseq is compiled)"
rm -f "$stamp"
"$python" -m venv .venv
log=.venv/setup.log
pip() {
    if ! .venv/bin/python -m pip --disable-pip-version-check install -c constraints.txt "$@" \
        >> "$log" 2>&1; then
        echo "setup.sh: pip install $* failed; the end of $log:" >&2
        tail -n 5 "$log" >&2
        exit 1
    fi
}
# torch, numpy and cython first and no build isolation: fairseq's build would fetch its own torch.
pip torch numpy cython setuptools wheel
pip --no-build-isolation fairseq-fixed
pip --no-build-isolation -e '.[fairseq,plot,explore,import,text,reproduce,test]'
# NeuroX, which tests and benchmarks compare with, pins versions of many years ago: without them.
# Nothing else needs it, so a failure here is only said.
(pip --no-deps neurox imbalanced-learn sklearn-compat) 2>> "$log" ||
    echo "setup.sh: neurox is not installed (see $log); the comparison with it will be skipped"
echo "$want" > "$stamp"
