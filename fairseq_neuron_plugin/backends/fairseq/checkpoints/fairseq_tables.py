"""Settings of fairseq that are more than numbers and names, in 0.12.2 and fairseq-fixed 0.12.3.

``tests/support/fairseq_evaluators.tsv`` lists the calls in fairseq's sources that these tables come
from, and a test compares it with the fairseq that is installed. ``user_dir`` is in neither table:
fairseq imports that of its command line alone.
"""

from __future__ import annotations

from typing import Any

_PIPELINE = "model_parallel/models/pipeline_parallel_transformer"

# Module, relative to fairseq: settings whose text it evaluates as Python, and what with.
EVALUATED = {
    "models/lstm.py": {
        "decoder_attention": "eval_bool",
        "adaptive_softmax_cutoff": "eval_str_list",
    },
    "models/lstm_lm.py": {"adaptive_softmax_cutoff": "eval_str_list"},
    "models/transformer/transformer_decoder.py": {"adaptive_softmax_cutoff": "eval_str_list"},
    "models/transformer_lm.py": {
        "adaptive_input_cutoff": "eval_str_list",
        "character_filters": "eval",
    },
    # Of TransformerConfig: flat, with a prefix, or in parts (decoder: {xformers_att_config: ...}).
    "modules/multihead_attention.py": {
        "xformers_att_config": "eval_str_dict",
        "encoder_xformers_att_config": "eval_str_dict",
        "decoder_xformers_att_config": "eval_str_dict",
    },
    "models/fconv.py": {
        "encoder_layers": "eval",
        "decoder_layers": "eval",
        "decoder_attention": "eval",
    },
    "models/fconv_lm.py": {
        "decoder_layers": "eval",
        "decoder_attention": "eval",
        "adaptive_softmax_cutoff": "eval_str_list",
    },
    "models/fconv_self_att.py": {
        "encoder_layers": "eval",
        "decoder_layers": "eval",
        "encoder_attention": "eval",
        "decoder_attention": "eval",
        "self_attention": "eval",
        "project_input": "eval",
        "gated_attention": "eval",
        "downsample": "eval",
        "pretrained": "eval",
    },
    # The kernels and switches are evaluated on the command line: a checkpoint holds their values.
    "models/lightconv.py": {
        "adaptive_softmax_cutoff": "eval_str_list",
        "encoder_kernel_size_list": "eval_str_list",
        "decoder_kernel_size_list": "eval_str_list",
        "encoder_glu": "eval_bool",
        "decoder_glu": "eval_bool",
        "weight_softmax": "eval_bool",
    },
    "models/lightconv_lm.py": {
        "adaptive_input_cutoff": "eval_str_list",
        "character_filters": "eval",
        "decoder_kernel_size_list": "eval_str_list",
        "decoder_glu": "eval_bool",
        "weight_softmax": "eval_bool",
    },
    # Likewise, but for the padding.
    "data/multilingual/multilingual_data_manager.py": {
        "left_pad_source": "eval_bool",
        "left_pad_target": "eval_bool",
        "extra_data": "eval_str_dict",
        "extra_lang_pairs": "eval_str_dict",
        "langtoks": "eval_str_dict",
        "sampling_weights": "eval_str_dict",
    },
    "tasks/multilingual_translation.py": {
        "left_pad_source": "eval_bool",
        "left_pad_target": "eval_bool",
    },
    "tasks/online_backtranslation.py": {
        "left_pad_source": "eval_bool",
        "left_pad_target": "eval_bool",
    },
    "optim/adafactor.py": {"adafactor_eps": "eval"},
    "optim/adam.py": {"adam_betas": "eval"},
    "optim/adamax.py": {"adamax_betas": "eval"},
    "optim/cpu_adam.py": {"adam_betas": "eval"},
    "optim/fused_lamb.py": {"lamb_betas": "eval"},
    "distributed/utils.py": {
        "pipeline_balance": "eval_str_list",
        "pipeline_devices": "eval_str_list",
        "pipeline_encoder_devices": "eval_str_list",
        "pipeline_decoder_devices": "eval_str_list",
    },
    f"{_PIPELINE}/model.py": {
        "pipeline_balance": "eval_str_list",
        "pipeline_devices": "eval_str_list",
        "pipeline_encoder_balance": "eval_str_list",
        "pipeline_encoder_devices": "eval_str_list",
        "pipeline_decoder_balance": "eval_str_list",
        "pipeline_decoder_devices": "eval_str_list",
    },
    f"{_PIPELINE}/layers.py": {"adaptive_softmax_cutoff": "eval_str_list"},
    # Speech.
    "criterions/ctc.py": {"wer_args": "eval"},
    "data/audio/raw_audio_dataset.py": {
        "conv_feature_layers": "eval",
        "feature_encoder_spec": "eval",
    },
    "models/hubert/hubert.py": {"conv_feature_layers": "eval"},
    "models/speech_to_text/s2t_wav_transformer.py": {"conv_feature_layers": "eval"},
    "models/wav2vec/wav2vec.py": {
        "conv_feature_layers": "eval",
        "conv_aggregator_layers": "eval",
    },
    "models/wav2vec/wav2vec2.py": {"conv_feature_layers": "eval"},
    # Code that a user can load with --user-dir.
    "examples/data2vec/models/data2vec_audio.py": {"conv_feature_layers": "eval"},
    "examples/data2vec/models/modalities/audio.py": {"feature_encoder_spec": "eval"},
    "examples/laser/laser_src/laser_lstm.py": {"decoder_zero_init": "eval_bool"},
    "examples/laser/laser_src/laser_task.py": {
        "left_pad_source": "eval_bool",
        "left_pad_target": "eval_bool",
    },
    "examples/speech_recognition/models/vggtransformer.py": {
        "conv_dec_config": "eval",
        "transformer_context": "eval",
        "transformer_dec_config": "eval",
        "transformer_enc_config": "eval",
        "transformer_sampling": "eval",
        "vggblock_enc_config": "eval",
    },
    "examples/speech_recognition/models/w2l_conv_glu_enc.py": {"conv_enc_config": "eval"},
    "examples/speech_text_joint_to_text/tasks/pair_denoising.py": {
        "left_pad_source": "eval_bool",
        "left_pad_target": "eval_bool",
    },
}

# Module: settings that name a file, a socket or a program which the weights of a checkpoint make
# needless, and the value that fairseq reads as none.
NAMED_FILES: dict[str, dict[str, Any]] = {
    "models/lstm.py": {"encoder_embed_path": None, "decoder_embed_path": None},
    "models/lstm_lm.py": {"decoder_embed_path": None},
    "models/fconv.py": {"encoder_embed_path": None, "decoder_embed_path": None},
    "models/lightconv.py": {"encoder_embed_path": None, "decoder_embed_path": None},
    "models/multilingual_transformer.py": {"encoder_embed_path": None, "decoder_embed_path": None},
    "models/transformer/transformer_base.py": {"embed_path": None},
    f"{_PIPELINE}/model.py": {"encoder_embed_path": None, "decoder_embed_path": None},
    "models/fconv_self_att.py": {"pretrained_checkpoint": None},
    "models/transformer_from_pretrained_xlm.py": {"pretrained_xlm_checkpoint": None},
    "models/roberta/enc_dec.py": {"pretrained_mlm_checkpoint": None},
    "dataclass/configs.py": {"lm_path": None},
    # Dictionaries lie in the folder of the data, too.
    "data/multilingual/multilingual_data_manager.py": {
        "fixed_dictionary": None,
        "source_dict": None,
        "target_dict": None,
        "lang_dict": None,
        "sampling_weights_from_file": None,
    },
    "tasks/multilingual_language_modeling.py": {"lang_to_offline_shard_ratio": ""},
    "tasks/language_modeling.py": {"use_plasma_view": False},
    "tasks/audio_pretraining.py": {"post_save_script": None},
    "criterions/sentence_ranking.py": {"save_predictions": None},
    # Speech.
    "criterions/ctc.py": {"wer_args": None, "wer_kenlm_model": None, "wer_lexicon": None},
    "models/hubert/hubert_asr.py": {"w2v_path": "", "seq2seq_path": ""},
    "models/wav2vec/wav2vec2_asr.py": {"w2v_path": ""},
    "models/speech_to_speech/s2s_conformer.py": {"load_pretrained_encoder_from": None},
    "models/speech_to_speech/s2s_transformer.py": {"load_pretrained_encoder_from": None},
    "models/speech_to_text/berard.py": {
        "load_pretrained_encoder_from": None,
        "load_pretrained_decoder_from": None,
    },
    "models/speech_to_text/convtransformer.py": {
        "load_pretrained_encoder_from": None,
        "load_pretrained_decoder_from": None,
    },
    "models/speech_to_text/s2t_conformer.py": {"load_pretrained_encoder_from": None},
    "models/speech_to_text/s2t_transformer.py": {"load_pretrained_encoder_from": None},
    "models/speech_to_text/xm_transformer.py": {
        "load_pretrained_encoder_from": None,
        "load_pretrained_decoder_from": None,
        "w2v_path": "",
    },
    "models/speech_to_text/xm_transformer_unity.py": {
        "load_pretrained_decoder_from": None,
        "load_pretrained_aux_decoder_from": None,
    },
    "tasks/audio_classification.py": {"target_dictionary": None},
    "tasks/audio_finetuning.py": {"target_dictionary": None},
    "tasks/hubert_pretraining.py": {"label_dir": None},
    "tasks/nlu_finetuning.py": {"target_dictionary": None},
    "tasks/text_to_speech.py": {"speaker_emb_path": None},
}

# Names of files in the folder of the data.
FILES_OF_DATA = frozenset({"config_yaml", "multitask_config_yaml"})

# Names in registries. fairseq puts some into hydra's command language as they are, where they
# could also name a file of settings.
REGISTERED = frozenset(
    {
        *("_name", "arch", "task", "criterion", "optimizer", "lr_scheduler", "tokenizer", "bpe"),
        "scoring",
    }
)

# Architectures that take their initial weights from a file, and the same without it.
INITIALISED = {"transformer_from_pretrained_xlm": "transformer"}

# Long lists that are in no dataclass, so that neither hydra nor omegaconf parses them.
LONG_LISTS = frozenset({"lang_pairs", "eval_lang_pairs", "sampling_weights"})
