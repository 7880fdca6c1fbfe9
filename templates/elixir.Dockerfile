#: Elixir and Erlang: a release runs on the bare distribution, a project on the slim image of the same version.
#: A line of one {{placeholder}} stands for any number of lines; lines that start with #: are not printed.
#: Source: the Dockerfile that `mix phx.gen.release --docker` writes, and the description of the official images.
{{build_end}}

FROM {{platform}}{{image}}{{as}}
{{packages}}
{{before}}
{{artifacts}}
{{after}}
