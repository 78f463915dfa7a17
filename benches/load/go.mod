module komainu.dev/load

go 1.25
