"""The contracts with their comments: what each message and enum says of itself, and its text as it stands in proto/.

The generated stubs know the fields but not the comments, so protoc is asked for both.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from google.protobuf import descriptor_pb2 as pb

from deploy.local.settings import ROOT
from proto.generate import PROTO, googleapis

_MESSAGES, _ENUMS, _FIELDS = 4, 5, 2
"""Numbers of FileDescriptorProto's and DescriptorProto's fields, of which the paths of comments consist."""
_SCALARS = {
    number: name.removeprefix("TYPE_").lower() for name, number in pb.FieldDescriptorProto.Type.items()
}


class ContractError(RuntimeError):
    """The contracts cannot be described as they are."""


@dataclass(frozen=True)
class Field:
    """A field of a message or a value of an enum. `kind` is as the contract writes it, empty for a value."""

    name: str
    number: int
    kind: str
    comment: str


@dataclass(frozen=True)
class Kind:
    """A message or an enum. `needs` are the types that its fields have, ours and Google's."""

    full_name: str
    file: str
    comment: str
    source: str
    fields: tuple[Field, ...]
    needs: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name without its package."""
        return self.full_name.rpartition(".")[2]

    @property
    def package(self) -> str:
        """The package."""
        return self.full_name.rpartition(".")[0]

    @property
    def summary(self) -> str:
        """The comment's first sentence."""
        head, dot, _ = self.comment.partition(". ")
        return head + "." if dot else head


class Contracts:
    """Every message and enum of the contracts, by full name."""

    def __init__(self, described: pb.FileDescriptorSet) -> None:
        self.kinds: dict[str, Kind] = {}
        self._google_files: dict[str, str] = {}
        for file in described.file:
            if file.package.startswith("sampan."):
                self.kinds.update((kind.full_name, kind) for kind in _kinds(file))
            else:
                names = [kind.name for kind in file.message_type] + [kind.name for kind in file.enum_type]
                self._google_files.update((f"{file.package}.{name}", file.name) for name in names)

    def used_by(self, full_name: str) -> list[Kind]:
        """The message and all that it needs of ours, itself first, in the order in which they are met."""
        found: dict[str, Kind] = {}
        waiting = [full_name]
        while waiting:
            kind = self.kinds[waiting.pop(0)]
            if kind.full_name not in found:
                found[kind.full_name] = kind
                waiting += [name for name in kind.needs if name in self.kinds]
        return list(found.values())

    def schema(self, full_name: str) -> str:
        """One proto3 file that holds the message and all that it needs, save Google's own types."""
        kinds = self.used_by(full_name)
        package = self.kinds[full_name].package
        if strangers := [kind.full_name for kind in kinds if kind.package != package]:
            raise ContractError(f"{full_name} needs types of other packages: {', '.join(strangers)}")
        imports = sorted(
            {self._google_files[name] for kind in kinds for name in kind.needs if name not in self.kinds}
        )
        head = ['syntax = "proto3";', f"package {package};", *(f'import "{file}";' for file in imports)]
        return "\n\n".join(["\n".join(head), *(kind.source for kind in kinds)]) + "\n"


def load() -> Contracts:
    """The contracts of this tree."""
    return Contracts(describe(sorted(PROTO.rglob("*.proto")), PROTO))


def describe(contracts: list[Path], root: Path) -> pb.FileDescriptorSet:
    """What protoc says of contracts below a folder, with comments; raises `ContractError` where it refuses them."""
    from grpc_tools import protoc

    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "contracts.pb"
        result = protoc.main(
            [
                "protoc",
                f"--proto_path={root}",
                f"--proto_path={googleapis()}",
                f"--proto_path={Path(str(files('grpc_tools'))) / '_proto'}",
                "--include_source_info",
                "--include_imports",
                f"--descriptor_set_out={target}",
                *map(str, contracts),
            ]
        )
        if result:
            raise ContractError(f"protoc refuses {', '.join(path.name for path in contracts)}")
        return pb.FileDescriptorSet.FromString(target.read_bytes())


def _kinds(file: pb.FileDescriptorProto) -> Iterator[Kind]:
    places = {tuple(place.path): place for place in file.source_code_info.location}
    lines = (PROTO / file.name).read_text(encoding="utf-8").splitlines()

    def comment(*path: int) -> str:
        return " ".join(places[path].leading_comments.split()) if path in places else ""

    def source(*path: int) -> str:
        place = places[path]
        said = [f"//{line}" for line in place.leading_comments.rstrip("\n").split("\n") if line]
        first, last = place.span[0], place.span[2] if len(place.span) == 4 else place.span[0]
        return "\n".join([*said, *lines[first : last + 1]])

    for index, message in enumerate(file.message_type):
        path = (_MESSAGES, index)
        entries = {entry.name: entry for entry in message.nested_type if entry.options.map_entry}
        if len(entries) != len(message.nested_type) or message.enum_type:
            raise ContractError(f"{file.package}.{message.name} nests types: put them beside it")
        described = [_field(field, entries) for field in message.field]
        yield Kind(
            f"{file.package}.{message.name}",
            file.name,
            comment(*path),
            source(*path),
            tuple(
                Field(field.name, field.number, kind, comment(*path, _FIELDS, number))
                for number, (field, (kind, _)) in enumerate(zip(message.field, described, strict=True))
            ),
            tuple(dict.fromkeys(name for _, needs in described for name in needs)),
        )
    for index, enum in enumerate(file.enum_type):
        path = (_ENUMS, index)
        values = tuple(
            Field(value.name, value.number, "", comment(*path, _FIELDS, number))
            for number, value in enumerate(enum.value)
        )
        yield Kind(f"{file.package}.{enum.name}", file.name, comment(*path), source(*path), values, ())


def _field(
    field: pb.FieldDescriptorProto, entries: dict[str, pb.DescriptorProto]
) -> tuple[str, tuple[str, ...]]:
    """The type as the contract writes it, and the types that it needs."""
    full_name = field.type_name.removeprefix(".")
    if entry := entries.get(full_name.rpartition(".")[2]):
        (key, _), (value, needs) = (_field(part, {}) for part in entry.field)
        return f"map<{key}, {value}>", needs
    kind = full_name.rpartition(".")[2] if full_name.startswith("sampan.") else full_name
    repeated = "repeated " if field.label == pb.FieldDescriptorProto.LABEL_REPEATED else ""
    return f"{repeated}{kind or _SCALARS[field.type]}", (full_name,) if full_name else ()


def relative(kind: Kind) -> Path:
    """Where the contract lies in the tree."""
    return (PROTO / kind.file).relative_to(ROOT)
