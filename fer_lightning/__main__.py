from fer_lightning.cli import main

main()
