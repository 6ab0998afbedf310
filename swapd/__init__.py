"""One endpoint in front of many model servers.

Words used throughout:

ticket   one client request that waits for, or holds, a model
turn     the time in which a ticket holds a model; there is no serving outside a turn
model    a configured command that serves HTTP, known by its id
run      one life of one model's process, numbered; news of an earlier run never touches a later
order    somebody's wish to have models unloaded, answered when their processes are gone
event    something that happened, in the past tense (`ModelStopped`)
effect   something the scheduler wants done, as an order (`StopModel`)
"""

__version__ = "0.1.0"
