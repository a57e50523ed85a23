"""Ids: no two alike, sorted by time, from any thread."""

import re
from concurrent.futures import ThreadPoolExecutor

from app.kit.ids import new_id


def test_ids_from_many_threads_differ() -> None:
    with ThreadPoolExecutor(8) as pool:
        batches = list(pool.map(lambda _: [new_id("int") for _ in range(2000)], range(8)))
    made = [one for batch in batches for one in batch]
    assert len(set(made)) == len(made)
    assert all(re.fullmatch(r"int_[0-9a-f]{28}", one) for one in made)
    assert all(
        [one[:16] for one in batch] == sorted(one[:16] for one in batch) for batch in batches
    )
