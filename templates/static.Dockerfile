#: Pages that a build makes: the full image builds them, nginx alone serves them.
#: A line of one {{placeholder}} stands for any number of lines; lines that start with #: are not printed.
#: Source: Docker's guides for React and Vue, and the description of the official image (nginx).
{{build_end}}

FROM {{platform}}{{image}}{{as}}
{{packages}}
{{before}}
{{artifacts}}
{{after}}
