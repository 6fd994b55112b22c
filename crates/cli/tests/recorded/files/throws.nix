let f = x: throw "oh ${x}"; in
f "dear"
