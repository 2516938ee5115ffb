module github.com/hawser-mesh/hawser/tools

go 1.26
