"""keyferry ferries AWS Secrets Manager and Parameter Store values into Kubernetes pods. This is the map.

A Mount, from door to door: ``mount.server`` takes the driver's call → ``mount.attributes`` reads the request and
checks the pod's token → ``spc.objects`` parses the SecretProviderClass → ``resolve`` fetches through ``aws``, shared →
``spc.files`` renders the files → ``mount.provider`` answers. Parse and render are pure; ``resolve`` and below wait.

    cli/                 one small module per command; the only place that prints
        provider.py      the DaemonSet's process, from its settings to its exit
        sync.py          the Deployment's process
        process.py       what both doors' processes have in common
        lint.py          check manifests: file, line, every problem
        mount.py         what would a pod get? asks a provider, or reads AWS itself
        render.py        which Secrets would the sync door write?
        convert.py       ExternalSecrets to the External Secrets Operator's manifests, and back
        policy.py        the least IAM policy and trust policy for a manifest
        doctor.py        what keeps secrets from arriving in a cluster? reads, never writes
        demo.py          both doors on a laptop: a mount, a rotation, a refusal
        syncdemo.py      … an ExternalSecret, a rotation, an edit by hand
        version.py       versions of what it stands on
        classes.py       finds the SecretProviderClasses of YAML files, with their lines
        documents.py     objects of YAML files as plain values, with the line of every field; back to YAML
        externalsecrets.py  the check of ExternalSecrets
        syncedclasses.py    … of classes that ask to be synced
        checkup/         the checks of doctor: what a cluster has → rows
        eso/             the External Secrets Operator's manifests (pure)
        iam.py           IAM statements for a plan (pure)
        request.py       the driver's side of a Mount: request, call, answer
        source.py        where a person's mount gets its files: a provider or AWS
        standin.py       what the demo starts: tokens, values at the AWS stand-in, processes
        apiserver.py     a small API server for the demo
        kubectl.py       what the demo does by hand in a cluster
        cluster.py       the cluster that a person works with: kubeconfig, context, credential plug-in
        volume.py        files as a tree to look at, or written to a folder
    app/                 composition root: the only place that names concrete classes
    config.py            settings: one table per process for flags, variables, defaults, help, README
    options.py           what a setting is; texts into values
    mount/               the door for the Secrets Store CSI driver
        server.py        gRPC: a request's bytes in, an answer's bytes or a status out
        provider.py      a Mount from bytes to bytes, and what is told about it
        attributes.py    what a request says: parameters, pod, token claims (pure)
        memo.py          parsed manifests and finished answers
        events.py        when a pod deserves a Warning Event
    sync/                the door for Kubernetes Secrets: ExternalSecrets and classes with secretObjects
    serving.py           the socket and the gRPC server behind it
    handover.py          leaving connections without losing a call; signals
    health.py            /healthz, /readyz, /metrics
    resolve.py           whose identity, which values: fetched once, all or nothing
    spc/                 SecretProviderClass: parameters → plan; plan and values → files (pure)
    aws/                 identities, credentials, transport, Secrets Manager, Parameter Store
    kube.py              the few Kubernetes calls, over plain HTTPS
    http/                HTTP/1.1 for the few small requests that are made
    cache.py             bounded store; concurrent loads of one key are one flight
    fanout.py            jobs side by side, without ever waiting for a thread
    telemetry.py         where log lines and audit records go, without holding up a Mount
    audit.py             one line per secret read (pure)
    metrics/             Prometheus metrics with fixed labels
    model.py             the values that travel between the layers
    errors.py            what can go wrong, by what the caller can do about it
    wire/                generated from proto/; ``make proto`` must give no difference

Layers, each importing only what is further down (checked by import-linter): cli → app → mount | sync | serving |
health | config → resolve | aws | kube | spc | handover | options → cache | fanout | audit | metrics | http → telemetry
→ model → errors | wire.
"""

__version__ = "0.1.0"
