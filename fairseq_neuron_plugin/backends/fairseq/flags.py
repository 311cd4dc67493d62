"""The flags of fairseq that our commands take: what becomes of each.

Every setting of fairseq's parsers stands in one table, with a decision for each command:

- *honoured*: it has the effect that it has in fairseq;
- *refused*: it would do nothing, or not what it says, so giving it is an error;
- *harmless*: it does nothing, and no result could depend on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from .checkpoints.names import MERGE

Command = Literal["read", "generate", "explore", "eval-lm"]
# read: extract, and the methods of rank that read a corpus with a checkpoint.
COMMANDS: tuple[Command, ...] = ("read", "generate", "explore", "eval-lm")

# Tasks whose flags are decided here. Flags of other tasks, users' own included, are theirs alone.
PAIR_TASKS = (
    *("translation", "translation_from_pretrained_bart", "translation_from_pretrained_xlm"),
    *("translation_lev", "multilingual_translation", "translation_multi_simple_epoch"),
    *("semisupervised_translation", "online_backtranslation", "simul_text_to_text"),
)
TEXT_TASKS = ("language_modeling", "multilingual_language_modeling")
TASKS: Mapping[Command, tuple[str, ...]] = {
    "read": (*PAIR_TASKS, *TEXT_TASKS),
    "generate": PAIR_TASKS,
    "explore": PAIR_TASKS,
    "eval-lm": ("language_modeling",),
}
# Tasks of fairseq whose data are neither pairs of sentences nor text: no command reads them.
OTHER_TASKS = (
    *("audio_classification", "audio_finetuning", "audio_pretraining", "cross_lingual_lm"),
    *("denoising", "dummy_lm", "dummy_masked_lm", "dummy_mt", "frm_text_to_speech"),
    *("hubert_pretraining", "legacy_masked_lm", "masked_lm", "multilingual_denoising"),
    *("multilingual_masked_lm", "nlu_finetuning", "sentence_prediction"),
    *("sentence_prediction_adapters", "sentence_ranking", "simul_speech_to_text"),
    *("span_masked_lm", "speech_dlm_task", "speech_to_speech", "speech_to_text"),
    *("speech_unit_modeling", "text_to_speech"),
)


@dataclass(frozen=True)
class Decision:
    """What becomes of a setting.

    Attributes:
        kind: ``honoured``, ``refused`` or ``harmless``.
        reason: where it has its effect; what to do instead; why nothing depends on it.
    """

    kind: Literal["honoured", "refused", "harmless"]
    reason: str


def _honoured(where: str) -> Decision:
    return Decision("honoured", where)


def _refused(instead: str) -> Decision:
    return Decision("refused", instead)


def _harmless(why: str) -> Decision:
    return Decision("harmless", why)


def decide(setting: str, command: Command, task: str = "translation") -> Decision | None:
    """Look a setting up; None for one that is unknown, of a user's own task, say."""
    of_task = _OF_TASK.get(task.removeprefix("neuron_"), {})
    if command in ("generate", "explore") and setting in of_task:
        return of_task[setting]
    return TABLE.get(setting, {}).get(command)


def _rows(settings: str, everywhere: Decision | None = None, **others: Decision | None) -> _Table:
    """Rows of the table.

    Args:
        settings: names, separated by spaces.
        everywhere: the decision for all commands but the others.
        others: by command, with ``eval_lm`` for ``eval-lm``; None where its parser has no such
            setting.
    """
    decisions: dict[Command, Decision | None] = dict.fromkeys(COMMANDS, everywhere)
    decisions |= {name.replace("_", "-"): decision for name, decision in others.items()}  # type: ignore[misc]
    row = {command: decision for command, decision in decisions.items() if decision is not None}
    return dict.fromkeys(settings.split(), row)


def _search_rows(settings: str, decision: Decision, explore: Decision | None = None) -> _Table:
    """Rows for settings of the search: reading has no use for them, fairseq-eval-lm has none."""
    return _rows(settings, decision, read=_NO_SEARCH, explore=explore or decision, eval_lm=None)


_Table = dict[str, Mapping[Command, Decision]]


_TRAINING = _refused("it is for training")
_TPU = _refused("it is for TPUs")
_ONE_DEVICE = _refused("a model runs on one device")
_SPEECH = _refused("it is for speech")
_RANDOM = _refused("results would differ from run to run")
_NO_SEARCH = _refused("nothing is translated")
_UNSCORED = _refused("nothing is scored")
_EVERY_SENTENCE = _refused("every sentence is read, or it is an error")
_BINARISED = _refused("a binarised split is tokenised and segmented already")
_HYPOTHESES = _refused("translations alone are written")

_SEARCH = "beam max_len_a max_len_b min_len match_source_len unnormalized lenpen unkpen temperature"
_OTHER_SEARCHES = "sampling sampling_topk sampling_topp diversity_rate"
_ITERATIVE = (
    "iter_decode_eos_penalty iter_decode_max_iter iter_decode_force_max_iter "
    "iter_decode_with_beam decoding_format"
)

# What fairseq's commands have in common.
_COMMON = {
    **_rows(
        "no_progress_bar log_interval log_format log_file aim_repo aim_run_hash quiet "
        "tensorboard_logdir wandb_project azureml_logging reset_logging profile",
        _harmless("it is about logs, and there are none"),
    ),
    **_rows(
        "num_workers data_buffer_size empty_cache_freq all_gather_list_size suppress_crashes",
        _harmless("it is about the way of the data, and every sentence takes the same"),
    ),
    **_rows("use_plasma_view plasma_path", _refused("a corpus is read from its files")),
    **_rows(
        "seed",
        _honoured("Translator: of --sampling"),
        read=_harmless("nothing is drawn at random"),
        eval_lm=_honoured("LanguageModelingTask.load_dataset: of --shorten-method random_crop"),
    ),
    **_rows(
        "cpu fp16 memory_efficient_fp16 user_dir task data path model_overrides",
        _honoured("open_session"),
    ),
    **_rows("tpu", _refused("a model runs on a CPU or a GPU")),
    **_rows(
        "bf16 memory_efficient_bf16", _refused("models run in float32, or in float16 with --fp16")
    ),
    **_rows(
        "model_parallel_size pipeline_model_parallel pipeline_balance pipeline_devices "
        "pipeline_chunks pipeline_encoder_balance pipeline_encoder_devices "
        "pipeline_decoder_balance pipeline_decoder_devices pipeline_checkpoint",
        _ONE_DEVICE,
    ),
    **_rows(
        "distributed_world_size distributed_num_procs distributed_rank distributed_backend "
        "distributed_init_method distributed_port distributed_no_spawn nprocs_per_node",
        _refused("start the command by torchrun, or give --workers"),
        read=_refused("one process reads the corpus"),
        explore=_refused("one process serves the page"),
    ),
    **_rows(
        "device_id",
        _refused("give --device cuda:N"),
        read=_refused("choose a GPU by CUDA_VISIBLE_DEVICES"),
        explore=_refused("choose a GPU by CUDA_VISIBLE_DEVICES"),
    ),
    **_rows(
        "fp16_no_flatten_grads fp16_init_scale fp16_scale_window fp16_scale_tolerance "
        "on_cpu_convert_precision min_loss_scale threshold_loss_scale amp amp_batch_retries "
        "amp_init_scale amp_scale_window quantization_config_path criterion optimizer lr_scheduler "
        "force_anneal lr_shrink warmup_updates ddp_backend ddp_comm_hook "
        "bucket_cap_mb fix_batches_to_gpus find_unused_parameters gradient_as_bucket_view "
        "fast_stat_sync heartbeat_timeout broadcast_buffers slowmo_momentum slowmo_base_algorithm "
        "localsgd_frequency zero_sharding no_reshard_after_forward fp32_reduce_scatter cpu_offload "
        "use_sharded_state not_fsdp_flatten_parameters",
        _TRAINING,
    ),
}

# Which sentences are read, in which batches, and what their words are.
_DATA = {
    **_rows("gen_subset", _honoured("load_split"), explore=_refused("the page has a text field")),
    **_rows("dataset_impl", _honoured("load_split"), explore=_harmless("no split is read")),
    **_rows(
        "max_tokens",
        _honoured("the batches"),
        explore=_harmless("sentences are read one at a time"),
    ),
    **_rows(
        "batch_size",
        _honoured("the batches"),
        read=_refused("give the size of a batch in symbols: --max-tokens"),
        explore=_harmless("sentences are read one at a time"),
    ),
    **_rows(
        "required_batch_size_multiple",
        _harmless("batches are of any size"),
        generate=_honoured("collate, which refuses to leave sentences out"),
    ),
    **_rows(
        "required_seq_len_multiple",
        _refused("batches are padded to their longest sentence"),
    ),
    **_rows("skip_invalid_size_inputs_valid_test", _EVERY_SENTENCE),
    **_rows(
        "num_shards shard_id",
        _refused("give --shard I/N, by which a sweep deals out its points"),
        read=_refused("a corpus is read as a whole; cut the text into parts instead"),
        explore=_refused("one process serves the page"),
    ),
    **_rows(
        "train_subset valid_subset combine_valid_subsets ignore_unused_valid_subsets "
        "validate_interval validate_interval_updates validate_after_updates fixed_validation_seed "
        "disable_validation max_tokens_valid batch_size_valid max_valid_steps curriculum "
        "grouped_shuffling update_epoch_batch_itr update_ordered_indices_seed",
        _TRAINING,
    ),
    **_rows("post_process", _honoured("read_text, read_split, Translator, _continuations")),
    **_rows(
        "tokenizer moses_no_dash_splits moses_no_escape",
        _honoured("build_tokenizer"),
        read=_refused("words are read as they stand; tokenise the text first"),
        eval_lm=_BINARISED,
    ),
    **_rows(
        "bpe bpe_codes bpe_separator sentencepiece_model sentencepiece_model_path bpe_cased "
        "bpe_vocab_file gpt2_encoder_json gpt2_vocab_bpe bpe_merges bpe_vocab bpe_add_prefix_space",
        _honoured("build_bpe"),
        eval_lm=_BINARISED,
    ),
    **_rows("sentencepiece_enable_sampling sentencepiece_alpha", _RANDOM, eval_lm=_BINARISED),
}

# The search, and what is made of its results. fairseq-eval-lm has none of these.
_GENERATION = {
    **_search_rows(f"{_SEARCH} {_OTHER_SEARCHES}", _honoured("FairseqTask.build_generator")),
    **_search_rows(
        "no_repeat_ngram_size",
        _refused("fairseq's own code for it has no effect without an extension for GPUs"),
    ),
    **_search_rows(
        "diverse_beam_groups diverse_beam_strength",
        _refused("fairseq's own code for it confuses the sentences of a batch"),
    ),
    **_search_rows(_ITERATIVE, _refused("it is for --task translation_lev")),
    **_search_rows("iter_decode_with_external_reranker", _refused("it needs a second model")),
    **_search_rows(
        "no_early_stop no_seed_provided", _harmless("fairseq does nothing with it either")
    ),
    **_search_rows("no_beamable_mm", _honoured("prepare_for_inference_")),
    **_search_rows("beam_mt max_len_a_mt max_len_b_mt lenpen_mt eos_token", _SPEECH),
    **_search_rows("nbest", _refused("a sentence has one translation")),
    **_search_rows("print_alignment print_step retain_iter_history", _HYPOTHESES),
    **_search_rows(
        "score_reference prefix_size",
        _refused("translations are searched for; references are scored by --metrics loss"),
        explore=_refused("translations are searched for"),
    ),
    **_search_rows("constraints", _refused("constrained search is not supported")),
    **_search_rows("replace_unk", _refused("unknown words stay unknown")),
    **_search_rows(
        "lm_path lm_weight", _refused("a search with a language model beside it is not supported")
    ),
    **_search_rows("retain_dropout retain_dropout_modules", _RANDOM),
    **_rows(
        "sacrebleu",
        _UNSCORED,
        generate=_harmless("it silences a warning; scores are sacrebleu's anyway"),
        eval_lm=None,
    ),
    **_rows(
        "sacrebleu_tokenizer sacrebleu_lowercase sacrebleu_char_level",
        _UNSCORED,
        generate=_refused("give --bleu-tokenize and --bleu-lowercase"),
        eval_lm=_refused("there are loss and perplexity alone"),
    ),
    **_rows(
        "scoring pad eos unk bert_score_lang wer_tokenizer wer_remove_punct wer_lowercase "
        "wer_char_level",
        _UNSCORED,
        generate=_refused("choose by --metrics from bleu, chrf, ter and loss"),
        eval_lm=_refused("there are loss and perplexity alone"),
    ),
    **_rows(
        "results_path",
        _refused("results go where --output-dir says"),
        read=_refused("results go where --output-dir or --output says"),
        explore=_refused("nothing is written"),
    ),
    **_rows(
        "output_word_probs output_word_stats",
        None,
        eval_lm=_refused("there are loss and perplexity alone"),
    ),
    **_rows("context_window softmax_batch", None, eval_lm=_honoured("LanguageModelEvaluator")),
}

_CHECKPOINTS = {
    **_rows("checkpoint_suffix", _honoured("checkpoint_file"), eval_lm=None),
    **_rows("checkpoint_shard_count", _refused(MERGE), eval_lm=None),
    **_rows(
        "save_dir restore_file continue_once finetune_from_model reset_dataloader "
        "reset_lr_scheduler reset_meters reset_optimizer optimizer_overrides save_interval "
        "save_interval_updates keep_interval_updates keep_interval_updates_pattern "
        "keep_last_epochs keep_best_checkpoints no_save no_epoch_checkpoints no_last_checkpoints "
        "no_save_optimizer_state best_checkpoint_metric maximize_best_checkpoint_metric patience "
        "load_checkpoint_on_all_dp_ranks write_checkpoints_asynchronously",
        _TRAINING,
        eval_lm=None,
    ),
}

# Flags of the tasks.
_TASKS = {
    **_rows("source_lang target_lang", _honoured("the task"), eval_lm=_BINARISED),
    **_rows(
        "lang_pairs langs lang_dict source_dict target_dict "
        "fixed_dictionary lang_tok_style lang_tok_replacing_bos_eos encoder_langtok "
        "decoder_langtok langtoks langtoks_specs extra_data prepend_bos mono_langs "
        "valid_lang_pairs left_pad_source left_pad_target max_source_positions",
        _honoured("the task"),
        eval_lm=None,
    ),
    **_rows(
        "max_target_positions",
        _honoured("the task"),
        eval_lm=_harmless("a model has the positions of its training"),
    ),
    **_rows("truncate_source", _honoured("the task"), explore=_EVERY_SENTENCE, eval_lm=None),
    **_rows("keep_inference_langtok", _honoured("the task"), read=_NO_SEARCH, eval_lm=None),
    **_rows("upsample_primary", _refused("every sentence is read once"), eval_lm=None),
    **_rows("num_batch_buckets", _TPU, eval_lm=None),
    **_rows("enable_lang_ids", _refused("no model reads them"), eval_lm=None),
    **_rows(
        "load_alignments eval_bleu eval_bleu_args eval_bleu_detok eval_bleu_detok_args "
        "eval_tokenized_bleu eval_bleu_remove_bpe eval_bleu_print_samples noise "
        "lambda_parallel_config lambda_denoising_config lambda_otf_bt_config bt_max_len_a "
        "bt_max_len_b bt_beam_size max_word_shuffle_distance word_dropout_prob word_blanking_prob "
        "lambda_bt lambda_dae generate_one_by_one sampling_method sampling_temperature "
        "sampling_weights sampling_weights_from_file extra_lang_pairs "
        "enable_reservsed_directions_shared_datasets virtual_epoch_size virtual_data_size",
        _TRAINING,
        eval_lm=None,
    ),
    **_rows(
        "sample_break_mode tokens_per_sample shorten_method shorten_data_split_list",
        None,
        read=_refused("a language model reads each sentence by itself, and whole"),
        eval_lm=_honoured("LanguageModelingTask.load_dataset"),
    ),
    **_rows(
        "add_bos_token",
        None,
        read=_refused("the checkpoint says what comes before a sentence"),
        eval_lm=_honoured("LanguageModelingTask.load_dataset"),
    ),
    **_rows(
        "output_dictionary_size", None, read=_honoured("the task"), eval_lm=_honoured("the task")
    ),
    **_rows(
        "self_target past_target",
        None,
        read=_refused("language models predict the next word"),
        eval_lm=_refused("language models predict the next word"),
    ),
    **_rows(
        "future_target",
        None,
        read=_harmless("it is what language models predict"),
        eval_lm=_harmless("it is what language models predict"),
    ),
    **_rows("pad_to_fixed_length pad_to_fixed_bsz", None, read=_TPU, eval_lm=_TPU),
    **_rows(
        "multilang_sampling_alpha baseline_model_langs baseline_model lang_to_offline_shard_ratio",
        None,
        read=_TRAINING,
    ),
    # Of the neuron_ tasks: a standing ablation beside what the command does.
    **_rows(
        "ablate ablate_value ablate_acts ablate_scope ablate_layers",
        _honoured("AblationMixin"),
        explore=_refused("hold neurons on the page"),
    ),
}

TABLE: Mapping[str, Mapping[Command, Decision]] = {
    **_COMMON,
    **_DATA,
    **_GENERATION,
    **_CHECKPOINTS,
    **_TASKS,
}

# What tasks make of settings of the search, where it is not what others make of them.
_OF_TASK: Mapping[str, Mapping[str, Decision]] = {
    "translation_lev": {
        **dict.fromkeys(_ITERATIVE.split(), _honoured("TranslationLevenshteinTask")),
        **dict.fromkeys(
            f"{_SEARCH} {_OTHER_SEARCHES}".split(),
            _refused("--task translation_lev refines translations; see --iter-decode-max-iter"),
        ),
    },
    "translation_from_pretrained_bart": dict.fromkeys(
        _OTHER_SEARCHES.split(),
        _refused("--task translation_from_pretrained_bart knows beam search alone"),
    ),
}
