OOD=[]
