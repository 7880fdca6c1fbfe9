#: Java: the development kit and its build tool compile, the runtime alone of the same version runs.
#: A line of one {{placeholder}} stands for any number of lines; lines that start with #: are not printed.
#: Source: Docker's documentation on multi-stage builds, its guide for Java, and Adoptium's on its images.
{{build_end}}

FROM {{platform}}{{image}}{{as}}
{{packages}}
{{before}}
{{artifacts}}
{{after}}
