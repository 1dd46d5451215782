"""Features as pyarrow reads them: features.py WORLD, where f.parquet and f.npy are of the two inputs of x.npy."""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

world = Path(sys.argv[1])
table = pq.read_table(world / "f.parquet")
assert table.column_names == ["path", "features"] and table["path"].to_pylist() == ["x.npy[0]", "x.npy[1]"], table
kinds = table.schema.field("path").type, table.schema.field("features").type
assert kinds[0] == pa.string() and kinds[1].value_type == pa.float32() and pa.types.is_list(kinds[1]), kinds
assert not any(field.nullable for field in table.schema), table.schema
found, wanted = np.stack(table["features"].to_numpy()), np.load(world / "f.npy")
assert found.dtype == np.float32 and np.array_equal(found.view(np.uint32), wanted.view(np.uint32))
print("pyarrow:", found.shape)
