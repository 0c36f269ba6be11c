"""What TF32 would change, and the mode without it."""

import keras
import numpy as np
import tensorflow as tf

import zoo
from tests.conftest import fake_pipeline
from trainers.devices import precision

ALLOWED = 1e-5  # between the answers of an export here and in another process


def to_ten_bits(x: tf.Tensor) -> tf.Tensor:
    """Rounded to the ten mantissa bits of TF32: to nearest, ties to even."""
    bits = tf.bitcast(x, tf.uint32)
    odd = tf.bitwise.bitwise_and(tf.bitwise.right_shift(bits, 13), 1)
    bits = tf.bitwise.bitwise_and(bits + 0xFFF + odd, tf.constant(0xFFFFE000, tf.uint32))
    return tf.bitcast(bits, tf.float32)


def test_ten_bits_by_hand():
    values = tf.constant([1.0, 1.0 + 2.0**-10, 1.0 + 2.0**-11, 1.0 + 3 * 2.0**-11, -3.14159274])
    expected = [1.0, 1.0 + 2.0**-10, 1.0, 1.0 + 2.0**-9, -3.140625]
    np.testing.assert_array_equal(to_ten_bits(values), np.float32(expected))


def test_tf32_would_fail_the_comparison_of_an_export(monkeypatch):
    """A GPU's expected answers, with operands of ten bits, against a CPU's with all of float32."""
    keras.utils.set_random_seed(0)
    entry = zoo.get("cifar_cnn")
    model = entry.build(fake_pipeline("cifar10").spec, **entry.hparams)
    for layer in model.layers:  # as trained: logits of ten or so
        if layer.weights:
            layer.kernel.assign(1.5 * layer.kernel)
    images = np.random.default_rng(0).uniform(size=(64, 32, 32, 3)).astype(np.float32)
    exact = model({"image": images}).numpy()
    for name in ("conv", "matmul"):
        plain = getattr(keras.ops, name)

        def rounded(x, kernel, *args, plain=plain, **options):
            return plain(
                to_ten_bits(x), to_ten_bits(tf.convert_to_tensor(kernel)), *args, **options
            )

        for module in ("keras.src.ops", "keras.src.layers.convolutional.base_conv.ops"):
            monkeypatch.setattr(f"{module}.{name}", rounded)
    tf32 = model({"image": images}).numpy()
    assert np.abs(tf32 - exact).max() > 3e-4 > 10 * ALLOWED


def test_exact_float32_turns_tf32_off_and_back():
    enabled = tf.config.experimental.tensor_float_32_execution_enabled
    for before in (True, False):
        tf.config.experimental.enable_tensor_float_32_execution(before)
        with precision.exact_float32():
            assert not enabled()
        assert enabled() == before
    tf.config.experimental.enable_tensor_float_32_execution(True)


def test_precision_that_is_asked_for_is_taken():
    assert precision.choose_precision("float16") == ("float16", "requested")
    assert precision.policy("float32") == "float32"
    assert precision.policy("bfloat16") == "mixed_bfloat16"


def test_precision_by_the_processor(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    monkeypatch.setattr(precision, "_cpu_info", lambda: "flags : fpu amx_bf16 avx512_bf16")
    assert precision.choose_precision("auto") == ("bfloat16", "CPU has amx_bf16 and avx512_bf16")
    monkeypatch.setattr(precision, "_cpu_info", lambda: "flags : fpu avx2")
    assert precision.choose_precision("auto")[0] == "float32"


def test_precision_by_the_gpu(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["gpu"])
    for capability, expected in (((7, 5), "float32"), ((8, 0), "bfloat16")):
        details = {"compute_capability": capability}
        monkeypatch.setattr(
            tf.config.experimental, "get_device_details", lambda gpu, found=details: found
        )
        assert precision.choose_precision("auto")[0] == expected


def test_machine_is_described_with_its_versions():
    described = precision.describe()
    assert described["versions"]["keras"] == keras.__version__
    assert described["hardware"]["cores"] >= 1
    assert described["backend"] == "tensorflow"


def test_a_number_of_threads_that_is_not_a_number_is_ignored(monkeypatch):
    monkeypatch.setattr(tf.config.threading, "get_intra_op_parallelism_threads", lambda: 0)
    for asked, threads in (("3", 3), ("", 0), ("all", 0)):
        monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", asked)
        assert precision.describe()["hardware"]["threads"] == threads
