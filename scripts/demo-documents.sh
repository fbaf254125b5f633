#!/bin/bash
# The second half of `make demo`: receipts, a contract and a Chinese form into a graph, then an answer
# and a picture from it. OUT is where results go.
set -euo pipefail
bin=${BIN:-.venv/bin} out=${OUT:-$PWD/out}
mkdir -p "$out"
export MILLRACE_GRAPH=$out/graph

for pipeline in receipts contracts forms-zh; do
    "$bin/millrace" run "deployments/pipelines/$pipeline.yaml" --set "out=$out/documents" --yes
done

query='MATCH (d:Document)-[:STATES]->(f:Fact) RETURN d.name, f.field, f.value, f.state ORDER BY d.name, f.field'
"$bin/millrace" graph query "$query" --limit 40
"$bin/millrace" graph picture service_agreement.jpg -o "$out/contract.html"

echo
echo "Ask the graph yourself:"
echo "  MILLRACE_GRAPH=$MILLRACE_GRAPH $bin/millrace graph query '$query'"
echo "A contract and what it speaks of, as a picture for the browser: $out/contract.html"
echo "What is not certain waits for you: $bin/millrace review"
echo "What was done: $out/documents/*/report.html. The command is $bin/millrace."
