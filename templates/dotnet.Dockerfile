#: .NET: the SDK's image publishes, the runtime's image of the same version runs.
#: A line of one {{placeholder}} stands for any number of lines; lines that start with #: are not printed.
#: Source: Microsoft's documentation on containers for .NET, and dotnet-docker's samples.
{{build_end}}

FROM {{platform}}{{image}}{{as}}
{{packages}}
{{before}}
{{artifacts}}
{{after}}
