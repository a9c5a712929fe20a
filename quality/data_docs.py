"""Great Expectations' context, and its Data Docs under the home: a page for each of the newest runs of every suite.

home/quality/
  validations/   the newest results of each suite, as the library keeps them
  data_docs/     the pages; ``index.html`` leads to them
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lakehouse.home import Home

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuiteValidationResult
    from great_expectations.data_context import EphemeralDataContext

SITE: Final = "data_docs"


def site(home: Home) -> Path:
    """The folder of the pages."""
    return home.root / "quality" / SITE


def new_context(docs: Home | None) -> EphemeralDataContext:
    """A context of this process: suites are code, so of it only results are kept, where Data Docs are wanted."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import DataContextConfig, InMemoryStoreBackendDefaults

    defaults = InMemoryStoreBackendDefaults()
    if docs is not None:
        defaults.stores[defaults.validation_results_store_name]["store_backend"] = {
            "class_name": "TupleFilesystemStoreBackend",
            "base_directory": str(docs.root / "quality" / "validations"),
        }
        defaults.data_docs_sites = {
            SITE: {
                "class_name": "SiteBuilder",
                "show_how_to_buttons": False,
                "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(site(docs))},
                "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            }
        }
    context = gx.get_context(mode="ephemeral", project_config=DataContextConfig(store_backend_defaults=defaults))
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    return context


class DataDocs:
    """Keeps what the library keeps of runs small: the newest ``kept`` of each suite, or none without Data Docs."""

    def __init__(self, context: EphemeralDataContext, docs: Home | None, kept: int) -> None:
        self._context = context
        self._store = context.validation_results_store
        self._docs = docs
        self._kept = kept
        self._new: list[Any] = []

    def ran(self, result: ExpectationSuiteValidationResult) -> None:
        """To be told of each result."""
        keys = [key for key in self._store.list_keys() if key.run_id == result.meta["run_id"]]
        if self._docs is None:
            for key in keys:
                self._store.remove_key(key)
            return
        self._new += keys

    def publish(self) -> None:
        """Writes the pages of what is new, and removes those of what is older than the newest ones of its suite."""
        if self._docs is None or not self._new:
            return
        gone = self._older()
        for key in gone:
            self._store.remove_key(key)
            self._page(key).unlink(missing_ok=True)
            for folder in list(self._page(key).parents)[:2]:  # a folder for the run's name, and one for its time
                with contextlib.suppress(OSError):  # another page is in it
                    folder.rmdir()
        new = [key for key in self._new if key not in gone]
        self._context.build_data_docs(site_names=[SITE], resource_identifiers=new)
        self._new = []

    def _older(self) -> list[Any]:
        by_suite: dict[str, list[Any]] = {}
        for key in self._store.list_keys():
            by_suite.setdefault(key.expectation_suite_identifier.name, []).append(key)
        return [
            key
            for keys in by_suite.values()
            for key in sorted(keys, key=lambda key: key.run_id.run_time, reverse=True)[self._kept :]
        ]

    def _page(self, key: Any) -> Path:
        assert self._docs is not None  # noqa: S101 (pages are of Data Docs)
        *folders, name = key.to_tuple()
        return site(self._docs).joinpath("validations", *folders, f"{name}.html")
