"""keyferry ferries AWS Secrets Manager and Parameter Store values into Kubernetes pods. This is the map.

A Mount, from door to door: ``mount.server`` takes the driver's call → ``mount.attributes`` reads the request and checks the
pod's token → ``spc.objects`` parses the SecretProviderClass → ``resolve`` fetches through ``aws``, shared and cached →
``spc.files`` renders the files → ``mount.server`` answers. Parse and render are pure; only ``resolve`` and below wait.

    cli/                 one small module per command; the only place that prints
        provider.py      the DaemonSet's process
        lint.py          check manifests: file, line, every problem
        mount.py         what would a pod get? asks a provider, or reads AWS itself
        policy.py        the least IAM policy for a manifest
        demo.py          a mount and a rotation on a laptop
        version.py       versions of what it stands on
    app.py               composition root: the only file that names concrete classes
    config.py            settings: one table for flags, variables, defaults, help, README
    mount/               the door for the Secrets Store CSI driver
        server.py        gRPC: a request's bytes in, an answer's bytes or a status out
        attributes.py    what a request says: parameters, pod, token claims (pure)
    serving.py           socket, gRPC server, health and metrics HTTP, signals, drain
    resolve.py           whose identity, which values: fetched once, all or nothing
    spc/                 SecretProviderClass: parameters → plan; plan and values → files (pure)
    aws/                 identities, credentials, transport, Secrets Manager, Parameter Store
    kube.py              the few Kubernetes calls, over plain HTTPS
    cache.py             bounded store; concurrent loads of one key are one flight
    fanout.py            jobs side by side, without ever waiting for a thread
    telemetry.py         logs, audit records, metrics
    model.py             the values that travel between the layers
    errors.py            what can go wrong, by what the caller can do about it
    wire/                generated from proto/; ``make proto`` must give no difference

Layers, each importing only what is further down (checked by import-linter): cli → app → mount | serving | config →
resolve | aws | kube | spc → cache | fanout | telemetry → model → errors | wire.
"""

__version__ = "0.1.0"
