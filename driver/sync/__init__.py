"""The second door: Kubernetes Secrets that follow AWS, without any pod mounting anything.

An object, from door to door: ``controller`` gives it to a worker → ``externalsecret`` or ``secretproviderclass`` parses
it → ``policy`` and ``reading`` fetch what it wants → ``render`` makes the Secrets it should have → ``manifest`` decides
about the ones there are → ``targets`` writes → ``report`` tells. ``plan`` has the values on this way.

Pure: no I/O, no clock.

plan.py                 the values between parse, resolve, render and decide
source.py               an object's fields, read without stopping at the first problem; our annotations
externalsecret.py       ExternalSecret → ``SyncPlan``
templatefields.py       which fields of its ``spec.template`` count
secretproviderclass.py  SecretProviderClass with ``secretObjects`` → ``SyncPlan``
policy.py               what a namespace's annotations permit
pattern.py              regular expressions that take linear time
render.py               ``SyncPlan`` and values → the Secrets that are wanted
items.py                … of an ExternalSecret
values.py               JSON values, property paths, base64
template.py             lodash's templates, as far as no code is run
objects.py              … of a SecretProviderClass
pem.py                  certificates and keys as the driver writes them
secrettype.py           what a Secret may hold
manifest.py             what to do about a Secret that is there, and the body to send
standing.py             whose a Secret is: the guards before a write
status.py               the status of an ExternalSecret

With I/O, threads or clocks:

controller.py           copies of the cluster → queue → passes
reconcile.py            one pass over one object
reading.py              the reads of many plans, identity by identity
targets.py              brings about one Secret
report.py               writes status and Events
events.py               Events, each told once while it holds
restart.py              restarts workloads whose Secrets changed
roster.py               the source objects, and what is remembered of them
copies.py               which copies of the cluster are kept
informer.py             one copy, kept up to date by list and watch
queue.py                keys that wait, each once
slots.py                when the next poll is due
identity.py             as whom values are read
leader.py               which replica writes
cluster.py              the Kubernetes calls
answers.py              what an API server's answers say
kinds.py                the kinds of objects that are called for
"""
