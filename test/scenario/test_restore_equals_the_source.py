"""A restored database is the source as it was committed."""

import lib


def test_what_was_written_before_and_while_replicating_comes_back(litestream, ledger, replica):
    ledger.commit(50)
    daemon = litestream.replicate(ledger.path, replica.url)
    daemon.wait_log("replicating to")
    ledger.commit(200, fill_bytes=3000)
    lib.assert_healthy(litestream.wait_replicated(replica.url, ledger.n))
    daemon.stop()
    lib.assert_same(ledger.path, litestream.restore(replica.url))


def test_the_last_transactions_are_saved_when_the_daemon_is_told_to_stop(
    litestream, ledger, replica
):
    ledger.commit()
    daemon = litestream.replicate(ledger.path, replica.url)
    litestream.wait_replicated(replica.url, ledger.n)
    ledger.commit(20)
    daemon.stop()
    lib.assert_same(ledger.path, litestream.restore(replica.url))


def test_the_last_transactions_are_saved_also_when_it_has_only_just_started(
    litestream, ledger, replica
):
    ledger.commit()
    daemon = litestream.replicate(ledger.path, replica.url)
    daemon.wait_log("replicating to")
    ledger.commit(20)
    daemon.stop()
    lib.assert_same(ledger.path, litestream.restore(replica.url))
