"""The delay from an event to its change in a consumer's hands, under a steady load, after a warm-up."""

import local
import pace
from bench_stage import settings_of
from streams import topics
from workers import Worker

WARM_S = 3


def run(rate: int, seconds: float, guarantee: str) -> None:
    """Measure and print one load."""
    with local.Kafka() as kafka, local.Redis(aof=True) as redis:
        settings = settings_of(kafka.address, redis.url, processing_guarantee=guarantee)
        topics.create(settings)
        with Worker(settings.model_dump(exclude_none=True)) as worker:
            worker.wait_ready()
            pace.delays_ms(kafka.address, rate, WARM_S, "warm")
            cpu = worker.cpu_s()
            delays = pace.delays_ms(kafka.address, rate, seconds, "paced")
            cpu = worker.cpu_s() - cpu
    sent = int(rate * seconds / pace.BUYERS)
    print(f"{rate:,} events/s for {seconds:g} s, {guarantee}: {len(delays):,} of {sent:,} changes came")
    print(f"  worker CPU {cpu / seconds:.0%} of one core")
    for share in (0.5, 0.9, 0.99, 0.999):
        print(f"  p{share * 100:g}  {delays[int(len(delays) * share)]:.0f} ms")
    print(f"  max {delays[-1]:.0f} ms")
