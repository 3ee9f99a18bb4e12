"""Time and peak memory of GEBM on large random graphs: fit, score and predict; JSON lines, one process each.

    python benchmarks/bench_gebm.py

Embeddings of 64 dimensions and 10 classes in float32, edges at random in both directions, 1,000 labelled nodes. The peak
is the whole process's (interpreter, libraries, the graph itself), as the system's kernel counts it (ru_maxrss); `start`
tells what graph and outputs take before anything is scored. Seconds are of the wall clock.
"""

import json
import subprocess
import sys

GRAPHS = {"Cora": (2_708, 10_556), "a hundred thousand": (100_000, 1_000_000), "a million": (1_000_000, 10_000_000)}
PROGRAM = """
import json, resource, time
import numpy as np
from energax.systems.gebm import GraphEvidence
nodes, edges, told = {nodes}, {edges}, {{}}
rng = np.random.default_rng(0)
y = rng.integers(0, 10, nodes)
h = np.maximum(rng.standard_normal((nodes, 64), np.float32) + np.eye(10, 64, dtype=np.float32)[y], 0)
logits = h[:, :10] * 4
ends = rng.integers(0, nodes, (2, edges // 2))
edge_index = np.concatenate([ends, ends[::-1]], axis=1)
train = np.zeros(nodes, bool)
train[rng.permutation(nodes)[:1000]] = True
peak = lambda: round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
told["start_mib"] = peak()
def timed(name, call):
    began = time.perf_counter(), time.process_time()
    found = call()
    told[name] = round(time.perf_counter() - began[0], 2)
    told[name + " (CPU)"] = round(time.process_time() - began[1], 2)
    return found
sure = timed("fit", lambda: GraphEvidence.fit(logits, h, edge_index, y, train))
timed("score", lambda: sure.score(logits, h, edge_index))
timed("predict", lambda: sure.predict(logits, h, edge_index))
told["peak_mib"] = peak()
print(json.dumps(told))
"""


def main() -> None:
    """Prints one row a graph."""
    for name, (nodes, edges) in GRAPHS.items():
        program = PROGRAM.format(nodes=nodes, edges=edges)
        said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
        print(json.dumps({"graph": name, "nodes": nodes, "edges": edges} | json.loads(said)), flush=True)


if __name__ == "__main__":
    main()
