#: Deno: one image fetches, caches and runs; what only the build needs stays behind.
#: A line of one {{placeholder}} stands for any number of lines; lines that start with #: are not printed.
#: Source: denoland/deno_docker, and the manual on running Deno in containers.
{{build_end}}

FROM {{platform}}{{image}}{{as}}
{{packages}}
{{before}}
{{artifacts}}
{{after}}
