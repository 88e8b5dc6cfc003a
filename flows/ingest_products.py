"""Archive what a run delivered: a MOUS's name goes in, its products are in the archive, and those concerned hear.

The flow's docstring has ``Args:`` because that is what Prefect reads to explain the parameters in its form.
"""

from __future__ import annotations

from collections.abc import Iterator

from prefect import flow
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run
from pydantic import BaseModel, ConfigDict

from flows._cancel import cancellable
from flows._environment import enter
from flows._run_name import of_observation
from flows._stage import Case, stage
from tasks._task_page import Shown
from tasks._task_progress import bytes_and_files, results_with_progress
from tasks.alma.ids import EntityId
from tasks.ingest import tasks as steps
from tasks.ingest.consignment import STAGE, Consignment
from tasks.ingest.jobs import Placed
from tasks.ingest.page import table
from tasks.progress import Event
from tasks.workspace.layout import Area

__all__ = ["Ingested", "ingest_products"]


class Ingested(BaseModel):
    """A delivery that is archived.

    Parameters
    ----------
    consignment
        What of it.
    files
        What the archive has.
    is_news
        Whether it was not all there already: then it was announced.
    """

    model_config = ConfigDict(frozen=True)

    consignment: Consignment
    files: tuple[Placed, ...]
    is_news: bool


@flow(name="ingest-products", flow_run_name=of_observation("ingest"), persist_result=False)
def ingest_products(mous: str, profile: str, key: str | None = None) -> Ingested:
    """Archive the products that were delivered of a member observing unit set, each once, and announce them.

    Args:
        mous: The MOUS, as in uid://A001/X1284/X265f or uid___A001_X1284_X265f.
        profile: The environment to do it in, such as naasc-test; a deployment has its own, to be left as it is.
        key: The key of the delivery, where it must be a certain one; another one is refused.
    """
    environment, observation = enter(profile, ingest_products.name), EntityId.parse(mous)
    with cancellable(), Area(environment.processing.root_directory).held(observation):
        consignment = steps.look_at(profile, observation, key)
        works = {STAGE: tuple(lot.work for lot in (*consignment.lots, consignment.last))}
        project, run = consignment.delivery.project, str(flow_run.id)
        case = Case(environment, ingest_products.name, run, observation, project, works)
        with steps.noted(environment, consignment, run):
            done = archive(case, consignment)
        Shown("table", "archived").write(*table(done.files))
        return done


@stage(STAGE, resources="transfer")
def archive(case: Case, consignment: Consignment) -> Ingested:
    """Archive all parts of a delivery, then the provenance."""
    products = consignment.products
    begin = Event(STAGE, total=sum(product.size for product in products), items=len(products))
    what = f"bytes archived of {case.observation}"
    parts = results_with_progress(_parts(case.profile.name, consignment), begin, what, bytes_and_files)
    last, is_news = steps.archive_last(case.profile.name, consignment, case.flow_run)
    files = (*(placed for part in parts for placed in part), last)
    return Ingested(consignment=consignment, files=files, is_news=is_news)


def _parts(profile: str, consignment: Consignment) -> Iterator[PrefectFuture[tuple[Placed, ...]]]:
    for lot in consignment.lots:
        yield steps.archive_lot.submit(profile, consignment, lot)
