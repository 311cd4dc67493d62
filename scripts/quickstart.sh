#!/usr/bin/env bash
# From nothing to a BLEU ablation curve on embedded data, in under 10 minutes on 2 cores.
#
#   scripts/quickstart.sh [FOLDER]      (default: runs/quickstart)
#
# Sets up .venv, writes an English-German corpus with gold tags, trains three small neuron_lstm
# models on disjoint thirds of it with fairseq-train, and looks into the first of them: activations,
# probe, rankings and what they share, translation under ablation. A step whose result is there already is skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh

run=${1:-runs/quickstart}
bin=.venv/bin
corpus=$run/corpus
mkdir -p "$run"
# Models this small are fastest on one thread each.
export OMP_NUM_THREADS=1

step() { # step RESULT TITLE COMMAND...: skipped if RESULT exists; output goes to a log
    local result=$1 title=$2 begin=$SECONDS log
    log=$run/$(basename "$1").log
    shift 2
    if [ -e "$result" ]; then
        echo "  $title: done before"
        return
    fi
    if ! "$@" > "$log" 2>&1; then
        echo "  $title: failed; the end of $log:" >&2
        tail -n 5 "$log" >&2
        exit 1
    fi
    echo "  $title: $((SECONDS - begin)) s"
}

echo "1. corpus and dictionaries"
step "$corpus" "write the corpus" $bin/python -m fairseq_neuron_plugin.grammar --output-dir "$corpus"
cat "$corpus"/train.?.en > "$run/all.en"
cat "$corpus"/train.?.de > "$run/all.de"
preprocess() { # preprocess FOLDER ARGUMENTS...: binarise, whole or absent
    local folder=$1
    shift
    rm -rf "$folder.new"
    $bin/fairseq-preprocess --source-lang en --target-lang de --destdir "$folder.new" "$@"
    mv "$folder.new" "$folder"
}
step "$run/dict" "dictionaries of all parts" preprocess "$run/dict" \
    --trainpref "$run/all" --dict-only
for part in A B C; do
    step "$run/bin.$part" "binarise part $part" preprocess "$run/bin.$part" \
        --srcdict "$run/dict/dict.en.txt" --tgtdict "$run/dict/dict.de.txt" \
        --trainpref "$corpus/train.$part" --validpref "$corpus/valid" --testpref "$corpus/test"
done

echo "2. three models on disjoint thirds, side by side (2 to 4 minutes)"
train() { # train PART
    $bin/fairseq-train "$run/bin.$1" --user-dir user_dir --arch neuron_lstm \
        --encoder-embed-dim 64 --encoder-hidden-size 64 --decoder-embed-dim 64 \
        --decoder-hidden-size 128 --decoder-out-embed-dim 64 --dropout 0.2 \
        --optimizer adam --lr 0.005 --lr-scheduler inverse_sqrt --warmup-updates 200 \
        --clip-norm 1.0 --batch-size 32 --max-epoch 8 --no-epoch-checkpoints \
        --no-progress-bar --seed 1 --save-dir "$run/model.$1.new"
    rm -rf "$run/model.$1"
    mv "$run/model.$1.new" "$run/model.$1"
}
for part in A B C; do
    step "$run/model.$part" "train model $part" train "$part" &
done
for job in $(jobs -p); do
    wait "$job"
done

echo "3. activations, probe, rankings"
extract() { # extract PART TEXT
    step "$run/acts.$1.$2" "activations of model $1 over $2" $bin/fairseq-neuron-extract \
        "$run/bin.$1" --path "$run/model.$1/checkpoint_best.pt" --input "$corpus/$2.en" \
        --output-dir "$run/acts.$1.$2"
}
extract A probe-train
extract A probe-test
extract B probe-train
extract C probe-train
step "$run/probe.pos" "probe for part of speech" $bin/fairseq-neuron-probe \
    "$run/acts.A.probe-train" --labels "$corpus/probe-train.en.pos" \
    --test-acts "$run/acts.A.probe-test" --test-labels "$corpus/probe-test.en.pos" \
    --ablate 10,20 --save-dir "$run/probe.pos"
step "$run/linguistic.json" "linguistic ranking" $bin/fairseq-neuron-rank linguistic \
    --probe "$run/probe.pos" --output "$run/linguistic.json"
step "$run/cross-model.json" "cross-model ranking" $bin/fairseq-neuron-rank cross-model \
    "$run/acts.A.probe-train" "$run/acts.B.probe-train" "$run/acts.C.probe-train" \
    --output "$run/cross-model.json"

step "$run/gradient.json" "gradient x activation ranking" $bin/fairseq-neuron-rank \
    gradient-activation "$run/bin.A" --path "$run/model.A/checkpoint_best.pt" --gen-subset valid \
    --output "$run/gradient.json"
step "$run/overlap" "overlap of the rankings" $bin/fairseq-neuron-analyze overlap \
    "$run/linguistic.json" "$run/cross-model.json" "$run/gradient.json" --k 10% \
    --output-dir "$run/overlap"
step "$run/top-words" "top words of pronoun neurons" $bin/fairseq-neuron-analyze top-words \
    "$run/acts.A.probe-train" --ranking "$run/linguistic.json:label=PRON:top:2" --words 8 \
    --output-dir "$run/top-words"

echo "4. translation under ablation"
step "$run/sweep/sweep.png" "sweep" $bin/fairseq-neuron-generate "$run/bin.A" \
    --path "$run/model.A/checkpoint_best.pt" --gen-subset test --beam 5 \
    --max-len-a 1.5 --max-len-b 10 --reference "$corpus/test.de" \
    --ranking "$run/linguistic.json" "$run/cross-model.json" --ablate 0,5%,10%,20%,40% \
    --order top,bottom --output-dir "$run/sweep"

echo "5. a page of it all"
step "$run/report.html" "report" $bin/fairseq-neuron-report "$run" --output "$run/report.html"

echo
echo "part of speech, test accuracy and what is left of it with few neurons:"
head -n 5 "$run/probe.pos.log"
sed -n '/^neurons kept/,/^$/p' "$run/probe.pos.log"
grep -v "it/s" "$run/overlap.log" | sed '/^$/,$d'
echo
echo "words that drive the first neurons for pronouns highest and lowest:"
grep -E "^enc|highest|lowest" "$run/top-words.log" | cut -c 1-110
echo
echo "BLEU while neurons are ablated:"
sed -n '/^ranking/,/^picture/p' "$run/sweep.png.log" | sed '/^picture/d'
echo
echo "picture: $run/sweep/sweep.png"
echo "page:    $run/report.html"
