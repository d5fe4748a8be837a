"""Generate the typed protobuf and gRPC stubs from proto/ into the git-ignored folder gen/.

Nothing is done when neither the contracts nor the generators changed since the last run.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from importlib.metadata import distribution, version
from importlib.resources import files
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROTO = ROOT / "proto"
GEN = ROOT / "gen"
STAMP = GEN / "contracts.sha256"
GENERATORS = ("grpcio-tools", "mypy-protobuf", "googleapis-common-protos")


def content_hash(contracts: list[Path]) -> str:
    """Hash everything that decides the output: the contracts, this script and the generators' versions."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for generator in GENERATORS:
        digest.update(f"{generator}={version(generator)};".encode())
    for contract in contracts:
        digest.update(f"{contract.relative_to(PROTO)}\0".encode())
        digest.update(contract.read_bytes())
    return digest.hexdigest()


def googleapis() -> Path:
    """Return the folder in which googleapis-common-protos has installed google/**/*.proto."""
    return Path(str(distribution("googleapis-common-protos").locate_file("")))


def compile_into(target: Path, contracts: list[Path]) -> None:
    """Run protoc with the Python, gRPC and type-stub generators; raise SystemExit with protoc's code on a fault."""
    from grpc_tools import protoc

    # protoc finds protoc-gen-mypy by PATH: it lies beside the interpreter.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    builtin = Path(str(files("grpc_tools"))) / "_proto"
    result = protoc.main(
        [
            "protoc",
            f"--proto_path={PROTO}",
            f"--proto_path={googleapis()}",
            f"--proto_path={builtin}",
            f"--python_out={target}",
            f"--grpc_python_out={target}",
            f"--mypy_out=quiet:{target}",
            f"--mypy_grpc_out=quiet:{target}",
            *map(str, contracts),
        ]
    )
    if result:
        raise SystemExit(result)


def copy_googleapis(target: Path) -> None:
    """Copy the google.* contracts that ours may import, for buf, which resolves imports from folders only."""
    source = googleapis()
    for package in ("api", "rpc", "type"):
        for contract in sorted((source / "google" / package).glob("*.proto")):
            copy = target / "google" / package / contract.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(contract, copy)


def main() -> int:
    """Generate gen/ anew beside the old one and swap, so that a reader never sees half of it."""
    contracts = sorted(PROTO.rglob("*.proto"))
    if not contracts:
        print("gen: no contracts in proto/ yet")
        return 0
    expected = content_hash(contracts)
    if STAMP.exists() and STAMP.read_text() == expected:
        return 0
    GEN.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=GEN, prefix=".new-") as folder:
        new = Path(folder)
        compile_into(new, contracts)
        for package in {path.parent for path in (new / "sampan").rglob("*.py")}:
            (package / "__init__.py").touch()
            for outer in package.relative_to(new).parents:
                if outer != Path("."):
                    (new / outer / "__init__.py").touch()
        (new / "sampan" / "py.typed").touch()
        copy_googleapis(new / "googleapis")
        for name in ("sampan", "googleapis"):
            shutil.rmtree(GEN / name, ignore_errors=True)
            (new / name).rename(GEN / name)
    STAMP.write_text(expected)
    print(f"gen: {len(contracts)} contracts -> gen/sampan")
    return 0


if __name__ == "__main__":
    sys.exit(main())
