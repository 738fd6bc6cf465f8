"""The steps of the core at the speed of memory: numba kernels over preallocated NumPy arrays.

One file a step, each usable alone; `engine.Engine` runs all of them over one state. Nothing here knows a clock, a
socket or a name: a tag is a row 0..tags-1, a detector a row 0..detectors-1, time is UTC milliseconds out of the data
and of the batches' arrival stamps, so that the same steps give the same rows.

    from server.core.kernels.engine import Capacity, Engine
    from server.core.kernels.columns import Columns

    engine = Engine(Capacity(tags=1_000_000, detectors=100_000, active_tags=400_000), bucket_ms=10_000)
    engine.place_detectors(rows, kinds=kinds, lat_deg=lat_deg, lon_deg=lon_deg, accuracy_m=accuracy_m)
    engine.load_eids(tags, ids)              # ids: uint64 (n, 3), previous, current and next id of a tag; 0: none
    engine.rotate(tags, next_ids)            # previous <- current <- next <- next_ids (n,), a few tags at a time
    engine.load_fences(fences, watches)      # Fences.of([Circle | Polygon]), Watches.of(tags, rows, registered=n)
    fresh = engine.accept(detectors, epochs, sequences)          # uint8 a batch: batches.Delivery
    outcome = engine.step(Columns.of(ids, detectors, rssi_dbm, heard_at_ms), received_ms)
    outcome = engine.step(Columns.of(..., lat_deg=..., lon_deg=..., accuracy_m=...), received_ms)  # NaN: stands
    outcome.tags, outcome.verdicts           # a row of the input each; suppress.Verdict
    outcome.kept                             # numbers of input rows to store: the first of tag, detector and bucket
    outcome.fixes                            # fix.Fixes: tags, lat_e7, lon_e7, accuracy_m, at_ms, detectors, kinds
    outcome.events                           # fences.Events: tags, fences, kinds, at_ms
    engine.index                             # places.Index: within(), inside(), nearest(), as of the last closed bucket
    engine.sizes(), engine.counters(), engine.dump(), engine.restore(parts)

What `step` returns are views into the engine's own buffers: use or copy them before the next step.
The kernels behind it, each callable alone on the state's named tuples (see the files):
    eidtable.insert, remove, rotate, rebuild, resolve · batches.accept ·
    suppress.take (resolve and dedupe fused) · poses.note
    fix.close · places.move, places.rebuild, within, inside, nearest · fences.cross, sweep · grid.match
"""
