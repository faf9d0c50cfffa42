"""Simulated providers that keep their own bill: for the demo, the tests and the load tests.

It speaks OpenAI's chat and embeddings APIs and the Anthropic messages API. It imports nothing of fastgate outside this
package, so that its bill is a second opinion on every amount that the gateway books.

    prices  <- what a model costs            tokens  <- how text becomes tokens
    bill    <- what was charged, to whom     faults  <- which request fails, and how
    script  <- what a request asked to be answered
    ask     <- a request, neutral            answer  <- an answer, neutral
    openai_chat, openai_embeddings, anthropic  <- the APIs: read a request, emit an answer, charge its usage
    generator <- from a request to its reply             booking <- from an answer to the bill
    playback  <- from an answer to a reply               replies <- how a reply is played, over time
    service   <- routes, keys, errors, the bill's pages  protocol <- HTTP over one connection
    main      <- options and life                        process <- the simulator as a subprocess, for tests
"""
